"""Rows of shards in every format, put together."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.output import Result
from capcli.output.formats.registry import FORMATS
from capcli.output.merging import Shards, merge_rows
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.output.shard import Shard, Share

PICTURES = [Path(f"{name}.jpg") for name in ("a", "b\tc", 'q"', "x,y", "line\nbreak", "\udcff", *map(str, range(60)))]


def result_of(picture: Path) -> Result:
    if len(picture.stem) == 1 and picture.stem in "a37":
        return Result(picture, error="is empty (0 bytes)")
    return Result(picture, (f"A picture of {picture.stem!a}.", "Other."), (0.5, 0.25), "base")


def write(path: Path, form: str, pictures: list[Path], share: Share | None = None) -> None:
    options = OutputOptions(output=path, format=form)
    with Outputs(options, io.BytesIO(), Path.cwd(), shard=None if share is None else share.shard) as outputs:
        for picture in pictures:
            outputs.write(result_of(picture))
        if share is not None:
            share.ended(outputs.rowless).write(path)


def write_shards(folder: Path, form: str, of: int, shuffle: Callable[[list[Path]], None]) -> list[Path]:
    paths = [folder / f"part{number}" for number in range(1, of + 1)]
    for number, path in enumerate(paths, 1):
        share = Share.of(Shard(number, of), PICTURES, Path.cwd())
        pictures = list(share.pictures)
        shuffle(pictures)
        write(path, form, pictures, share)
    return paths


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("of", [1, 7, 300])
def test_shards_together_are_the_undisturbed_file(tmp_path: Path, form: str, of: int) -> None:
    write(tmp_path / "whole", form, PICTURES)
    paths = write_shards(tmp_path, form, of, lambda pictures: None)
    merge_rows(Shards.read(paths), tmp_path / "merged", form)
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.slow
@given(st.integers(0, 99))
def test_rows_that_a_run_tried_again_find_their_places(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("shuffled")
    write(folder / "whole", "csv", PICTURES)
    paths = write_shards(folder, "csv", 3, random.Random(seed).shuffle)
    merge_rows(Shards.read(paths), folder / "merged", "csv")
    assert (folder / "merged").read_bytes() == (folder / "whole").read_bytes()
