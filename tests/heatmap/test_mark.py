"""That every drawing carries the mark, and what else is not taken for one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image
from sample_captions import caption

from capcli.caption import Caption
from capcli.errors import UsageError
from capcli.heatmap.files import Drawings, check_folder
from capcli.heatmap.mark import MARK, is_marked
from capcli.heatmap.options import KINDS


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "in" / name for name in ("a.jpg", f"{'b' * 200}.jpg")]
    paths[0].parent.mkdir()
    for path in paths:
        # A profile of its own must not push the mark out of the way.
        Image.linear_gradient("L").convert("RGB").save(path, icc_profile=b"x" * 20_000)
    return paths


@pytest.mark.parametrize("sentence", [caption(["a", "dog"]), caption(["x" * 9000])])
@pytest.mark.parametrize("kind", KINDS)
def test_every_file_that_is_written_carries_the_mark(
    tmp_path: Path, pictures: list[Path], kind: str, sentence: Caption
) -> None:
    drawings = Drawings(kind, tmp_path / "out", tmp_path / "in", pictures)
    for picture in pictures:
        assert drawings.write(picture, sentence, method="gradient", model="base")
    drawings.finish()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) >= len(pictures) + (kind == "html")
    assert all(is_marked(path) for path in written)
    for picture in pictures:  # an index of several is not gone on with
        assert Drawings(kind, tmp_path / "out", tmp_path / "in", [picture], resume=True).is_settled(picture)


def test_the_mark_is_found_at_either_end_of_a_file_of_any_size(tmp_path: Path) -> None:
    path, mark = tmp_path / "file", MARK.encode()
    for size in (0, 1, 4090, 4096, 5000, 8192, 100_000):
        rest = b"." * size
        path.write_bytes(rest)
        assert not is_marked(path)
        for content in (mark + rest, rest + mark):
            path.write_bytes(content)
            assert is_marked(path)


def test_what_is_no_file_has_no_mark(tmp_path: Path) -> None:
    assert not is_marked(tmp_path)
    assert not is_marked(tmp_path / "absent")
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert not is_marked(tmp_path / "pipe")
        (tmp_path / "dangling").symlink_to("absent")
        assert not is_marked(tmp_path / "dangling")


def test_a_folder_that_is_tried_is_not_there_afterwards(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="cannot be made"):
        check_folder(tmp_path / "new" / ("x" * 300))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    check_folder(tmp_path / "there")
    assert (tmp_path / "there").is_dir()
