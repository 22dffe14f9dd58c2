"""Very many pictures in few bytes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from capcli.pictures.packed import Packed

PATHS = st.lists(st.sampled_from(["a.jpg", "b\udcff.png", "..", "/", "2019", "Ä"]), max_size=3).map(
    lambda parts: Path(*parts)
)


@given(st.lists(PATHS, max_size=12))
def test_pictures_come_out_as_they_went_in(pictures: list[Path]) -> None:
    packed = Packed.of(pictures)
    assert list(packed) == pictures
    assert len(packed) == len(pictures)
    assert [folder / name for folder, names in packed.by_folder() for name in names] == pictures
    assert packed == Packed.of(iter(pictures))
    assert all(picture in packed for picture in pictures)
    assert Path("another") not in packed
