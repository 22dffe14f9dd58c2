"""What is remembered of a picture: the same pixels are known again, whatever the file says beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from capcli.pictures.facts import Facts
from capcli.pictures.read import read_array, read_described
from capcli.pictures.stream import ReadingPool

SIDEWAYS = 6


def exif(**moments: str) -> Image.Exif:
    tags = Image.Exif()
    tags.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: moment for name, moment in moments.items()})
    return tags


def picture(width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_the_same_pixels_have_one_hash(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    picture().save(tmp_path / "b.bmp")
    picture().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "c.tif", exif=turned())
    changed = picture()
    changed.putpixel((0, 0), (1, 2, 3))
    changed.save(tmp_path / "d.png")
    a, b, c, d = (read_described(tmp_path / name, 8)[1] for name in ("a.png", "b.bmp", "c.tif", "d.png"))
    assert a.pixels == b.pixels == c.pixels != d.pixels
    assert {(facts.width, facts.height) for facts in (a, b, c, d)} == {(40, 30)}


def turned() -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = SIDEWAYS
    return tags


def test_a_reduced_jpeg_tells_its_whole_size_and_the_array_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(640, 400).save(path, exif=turned())
    array, facts = read_described(path, 8)
    assert (facts.width, facts.height) == (400, 640)
    assert (facts.size, facts.mtime) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert np.array_equal(array, read_array(path, 8))


@pytest.mark.parametrize(
    ("moments", "taken"),
    [
        ({"DateTimeOriginal": "2019:07:04 12:30:05"}, "2019-07-04T12:30:05"),
        (
            {"DateTimeOriginal": "0000:00:00 00:00:00", "DateTimeDigitized": "2001:02:03 04:05:06"},
            "2001-02-03T04:05:06",
        ),
        ({"DateTimeOriginal": "2019:13:41 12:30:05"}, None),
        ({}, None),
    ],
)
def test_when_a_picture_was_taken_is_read_from_its_exif(
    tmp_path: Path, moments: dict[str, str], taken: str | None
) -> None:
    picture().save(tmp_path / "a.jpg", exif=exif(**moments))
    assert read_described(tmp_path / "a.jpg", 8)[1].taken == taken


def test_workers_hand_over_facts_only_where_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture().save(path)
    with ReadingPool(1) as pool:
        ((plain,),) = pool.stream([path], 8, 1)
        ((described,),) = pool.stream([path], 8, 1, described=True)
    assert plain.facts is None
    assert described.facts == Facts.decode(described.facts.encode()) == read_described(path, 8)[1]
    assert plain.array is not None
    assert np.array_equal(plain.array, described.array)
