from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from stored_photograph import photograph

from capcli.pictures.kinds import EXTENSIONS, LEFT_OUT, START, ending_of, is_film, is_film_file, is_picture

NOT_TAKEN = {
    **dict.fromkeys((".eps", ".ps", ".mpg", ".mpeg", ".wmf", ".emf", ".pdf"), "left out, and counted"),
    **dict.fromkeys((".bufr", ".grib", ".h5", ".hdf"), "data, which Pillow knows by name alone"),
    **dict.fromkeys((".blp", ".ftc", ".ftu", ".gbr", ".im", ".msp", ".palm", ".iim"), "of programs, no photographs"),
    ".fit": "most often of sports watches",
    ".vst": "most often drawings of Visio",
}
"""Endings that Pillow has for formats, and why a folder's files of these names are not taken."""


def test_a_folder_gives_every_format_that_pillow_reads_but_for_a_reason() -> None:
    Image.init()
    known = {ending for ending in Image.registered_extensions() if not ending.startswith(".hei")}
    assert known - EXTENSIONS == NOT_TAKEN.keys()
    assert all(ending in LEFT_OUT for ending, why in NOT_TAKEN.items() if "counted" in why)


def test_endings_are_in_lower_case_and_of_one_kind() -> None:
    assert all(ending == ending.lower() and ending.startswith(".") for ending in {*EXTENSIONS, *LEFT_OUT})
    assert not EXTENSIONS & LEFT_OUT.keys()


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "QOI", "PPM", "DDS", "SGI", "HEIF"]
)
def test_a_picture_is_known_by_its_first_bytes(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    Image.fromarray(photograph()).save(stream, kind)
    assert is_picture(stream.getvalue()[:START])


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\n",
        b"All rights reserved.",
        b"#!/bin/sh\n",
        b"\x7fELF\2\1\1",
        b"PK\3\4",
        b"%PDF-1.7",
        b"P1 001.jpg\nP1 002.jpg\n",
        b"BMW and others.jpg",
        b"MM notes",
        b"\0\0\0\x14ftypqt  ",
        b"\0\0\0\x18ftypmp42",
        b"\0\1\0\0\0\x12",
        b"DDS textures/a.dds",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_other_files_are_no_pictures(start: bytes) -> None:
    assert not is_picture(start)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.JPG", ".jpg"),
        ("a.tar.gz", ".gz"),
        ("Beach", ""),
        ("5.12.2019", ""),
        ("St. Malo", ""),
        ("v1.5 final", ""),
        (".DS_Store", ""),
        ("a.", ""),
        ("a.été", ".été"),
    ],
)
def test_the_ending_of_a_name(name: str, ending: str) -> None:
    assert ending_of(name) == ending


@pytest.mark.parametrize("ending", ["avi", "flv", "mkv", "mov", "mp4", "mpg", "ogv", "ts", "webm", "wmv", "y4m"])
def test_a_film_is_known_by_its_first_bytes(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from made_films import grey, write_film

    codecs = {"avi": "mpeg4", "flv": "flv", "mpg": "mpeg2video", "ogv": "libvpx", "webm": "libvpx-vp9", "wmv": "wmv2"}
    codec = "wrapped_avframe" if ending == "y4m" else codecs.get(ending, "libx264")
    rate = 25 if ending == "mpg" else 10
    path = write_film(tmp_path / f"film.{ending}", [grey(100)] * 8, codec=codec, rate=rate)
    nameless = path.rename(tmp_path / "film")
    assert is_film_file(nameless)
    assert is_film(nameless.read_bytes()[:START])
    assert not is_picture(nameless.read_bytes()[:START])


@pytest.mark.parametrize("name", ["photo", "photo.png", "words.txt", "empty", "none", "photo.cr2"])
def test_no_other_file_is_taken_for_a_film(name: str, tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "photo", "PNG")
    for other in ("photo.png", "photo.cr2"):
        (tmp_path / other).write_bytes((tmp_path / "photo").read_bytes())
    (tmp_path / "words.txt").write_text("Once upon a time")
    (tmp_path / "empty").touch()
    assert not is_film_file(tmp_path / name)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM", "HEIF"]
)
def test_a_picture_without_an_ending_is_no_film(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    Image.fromarray(photograph()).save(stream, kind)
    assert not is_film(stream.getvalue()[:START])
