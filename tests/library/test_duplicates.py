"""Which pictures are grouped, and which of them is to be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept_results import make_kept

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
    groups = find_duplicates(library, DuplicateOptions(**options))
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


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_sets_that_share_a_picture_are_one(pairs: list[tuple[int, int]]) -> None:
    sets = duplicates._Sets()
    expected = {number: {number} for number in range(10)}
    for first, second in pairs:
        sets.join(first, second)
        joined = expected[first] | expected[second]
        expected.update(dict.fromkeys(joined, joined))
    assert [sets.find(number) for number in range(10)] == [min(expected[number]) for number in range(10)]
