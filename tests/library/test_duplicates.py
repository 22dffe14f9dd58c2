"""Which pictures are grouped, and which of them is to be kept."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept_results import make_kept

from capcli.errors import CapcliError
from capcli.library import duplicates
from capcli.library.duplicates import find_duplicates
from capcli.library.options import DuplicateOptions

PICTURES = {
    "small.jpg": ("same", 0, None, 10),
    "large.jpg": ("bigger", 3, None, 20),
    "copy.jpg": ("same", 0, None, 10),
    "burst1.jpg": ("x", 90, "2020-01-01T00:00:00", 10),
    "burst2.jpg": ("y", 118, "2020-01-01T00:00:02", 10),
    "later.jpg": ("z", 146, "2020-01-01T00:01:00", 10),
    "other.jpg": ("w", 270, "2020-01-01T00:01:01", 10),
}


@pytest.fixture
def library(keep: Callable[..., Any], tmp_path: Path) -> Path:
    results = {}
    for name, (content, degrees, taken, width) in PICTURES.items():
        path = tmp_path / name
        path.write_text(content)
        vector = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        result = make_kept(path, "a dog", vector, taken=taken)
        assert result.facts is not None
        results[path] = replace(result, facts=replace(result.facts, width=width))
    keep(results)
    return tmp_path / "photos.db"


def names(library: Path, **options: float) -> list[tuple[str, list[str], set[str]]]:
    groups = find_duplicates(library, DuplicateOptions(**options)).groups
    return [
        (group.keep.name, [path.name for path in group.others], {path.name for path in group.same}) for group in groups
    ]


def test_equal_and_nearly_equal_pictures_and_bursts_are_grouped(library: Path) -> None:
    near = ("large.jpg", ["small.jpg", "copy.jpg"], set())
    assert names(library) == [near, ("burst1.jpg", ["burst2.jpg"], set())]
    assert names(library, within=1) == [near]
    assert names(library, min_score=1, burst_score=1) == [("small.jpg", ["copy.jpg"], {"copy.jpg"})]
    assert names(library, min_score=0.88)[1] == ("burst1.jpg", ["burst2.jpg", "later.jpg"], set())


def test_a_missing_file_is_in_no_group(keep: Callable[..., Any], library: Path) -> None:
    (library.parent / "copy.jpg").unlink()
    keep({}, resume=True)
    assert names(library, min_score=1, burst_score=1) == []


@pytest.mark.parametrize("order", [("album.jpg", "real/cow.jpg"), ("real/cow.jpg", "album.jpg")])
@pytest.mark.parametrize("link", ["soft", "hard", "folder"])
def test_a_file_that_has_several_paths_is_one_picture(
    keep: Callable[..., Any], tmp_path: Path, link: str, order: tuple[str, str]
) -> None:
    real, album = tmp_path / "real" / "cow.jpg", tmp_path / "album.jpg"
    real.parent.mkdir()
    real.write_text("cow")
    if link == "hard":
        album.hardlink_to(real)
    elif link == "soft":
        album.symlink_to(real)
    else:
        (tmp_path / "album.jpg").symlink_to(real.parent)
        order = tuple(name.replace("album.jpg", "album.jpg/cow.jpg") for name in order)  # type: ignore[assignment]
    keep({tmp_path / name: make_kept(tmp_path / name, "a cow") for name in order})
    library = tmp_path / "photos.db"
    assert names(library) == []
    copy = tmp_path / "copy.jpg"
    copy.write_text("cow")
    keep({copy: make_kept(copy, "a cow")}, resume=True)
    (group,) = find_duplicates(library, DuplicateOptions()).groups
    assert group.others == (copy,)
    assert group.keep == real or link == "hard"


def test_files_that_are_gone_or_others_since_are_in_no_group(library: Path) -> None:
    folder = library.parent
    assert names(library, min_score=1, burst_score=1) == [("small.jpg", ["copy.jpg"], {"copy.jpg"})]
    os.utime(folder / "burst1.jpg", ns=(1, 1))
    (folder / "copy.jpg").unlink()
    found = find_duplicates(library, DuplicateOptions())
    assert [[group.keep.name, *(path.name for path in group.others)] for group in found.groups] == [
        ["large.jpg", "small.jpg"]
    ]
    assert found.outdated == 2
    (folder / "large.jpg").write_text("another picture")
    assert find_duplicates(library, DuplicateOptions()).groups == ()


@pytest.mark.parametrize("values", ["taken = 'x'", "width = 'x'", "size = x'ff'"])
def test_a_damaged_row_is_said_in_one_line(library: Path, values: str) -> None:
    with sqlite3.connect(library) as connection:
        connection.execute(f"UPDATE picture SET {values} WHERE id = 4")
    with pytest.raises(CapcliError, match=r"photos.db: the row of picture 4 is damaged; `capcli library check` says"):
        find_duplicates(library, DuplicateOptions())


def test_pictures_that_only_one_that_is_gone_joined_are_apart(library: Path) -> None:
    joined = {"min_score": 0.88, "burst_score": 1.0}
    assert names(library, **joined)[1] == ("burst1.jpg", ["burst2.jpg", "later.jpg"], set())
    (library.parent / "burst2.jpg").unlink()
    assert [group[0] for group in names(library, **joined)] == ["large.jpg"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_sets_that_share_a_picture_are_one(pairs: list[tuple[int, int]]) -> None:
    sets = duplicates._Sets()
    expected = {number: {number} for number in range(10)}
    for first, second in pairs:
        sets.join(first, second)
        joined = expected[first] | expected[second]
        expected.update(dict.fromkeys(joined, joined))
    assert [sets.find(number) for number in range(10)] == [min(expected[number]) for number in range(10)]
