"""Folders of pictures with a text beside each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import pairs, read_dataset
from capcli.datasets.detect import read_entries
from capcli.errors import DatasetError
from capcli.output import Result
from capcli.output.sidecar import Sidecars


def test_each_line_of_a_picture_s_text_is_a_caption(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "b.png", "a.jpg")
    (tmp_path / "a.jpg").with_suffix(".txt").write_bytes(
        b"\xef\xbb\xbfA dog runs.\r\n\r\nA brown dog.\r\n[keywords] dog, grass\r\n"
    )
    (tmp_path / "b.TXT").write_text("a cat, indoors, sofa")
    dataset = read_dataset(tmp_path)
    assert dataset.name == tmp_path.name
    assert [(item.image, item.captions, item.split) for item in dataset.items] == [
        (tmp_path / "a.jpg", ("A dog runs.", "A brown dog."), "train"),
        (tmp_path / "b.png", ("a cat, indoors, sofa",), "train"),
    ]


def test_sub_folders_are_read_too_and_hidden_ones_are_not(tmp_path: Path, touch: Callable[..., None]) -> None:
    for folder in ("10_dog", "5_cat/more", ".thumbs"):
        touch(tmp_path / folder, "a.webp", "a.txt", ".hidden.jpg")
        (tmp_path / folder / "a.txt").write_text(f"A picture in {folder}.\n")
    assert [(entry.name, entry.captions) for entry in read_entries(tmp_path)] == [
        ("10_dog/a.webp", ("A picture in 10_dog.",)),
        ("5_cat/more/a.webp", ("A picture in 5_cat/more.",)),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "b.c.png"],
        ["a.jpg", "a.png", "b.jpg"],
        ["a.jpg", "A.PNG"],
        ["a.jpg", "a.png", "a.jpg.jpg"],
        ["x/a.jpg", "a.jpg"],
    ],
)
def test_what_txt_sidecars_hold_is_read_back(tmp_path: Path, touch: Callable[..., None], names: list[str]) -> None:
    touch(tmp_path, *names)
    sidecars = Sidecars("txt", None, tmp_path)
    for name in names:
        sidecars.write(Result(tmp_path / name, (f"This is {name}.", "A picture."), (0.5, 0.25), "base"))
    captions = {entry.name: entry.captions for entry in read_entries(tmp_path)}
    assert captions == {name: (f"This is {name}.", "A picture.") for name in names}


def test_a_text_named_after_another_picture_is_not_taken(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg", "a.png", "a.jpg.jpg")
    (tmp_path / "a.jpg.txt").write_text("A dog.\n")
    captions = {entry.name: entry.captions for entry in read_entries(tmp_path)}
    assert captions == {"a.jpg": ("A dog.",), "a.png": (), "a.jpg.jpg": ()}


def test_pictures_without_a_text_have_no_captions(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "a.txt").write_text("A dog.\n")
    (tmp_path / "b.txt").write_text(" \n")
    (tmp_path / "readme.txt").write_text("Pictures of my dog.\n")
    assert [(entry.name, entry.captions) for entry in read_entries(tmp_path)] == [
        ("a.jpg", ("A dog.",)),
        ("b.jpg", ()),
        ("c.jpg", ()),
    ]
    assert [item.image.name for item in read_dataset(tmp_path).items] == ["a.jpg"]


def test_a_table_in_the_folder_goes_first(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_text("From the text.\n")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,From the table.\n")
    assert [item.captions for item in read_dataset(tmp_path).items] == [("From the table.",)]


def test_pictures_alone_are_no_pairs(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg", "notes.txt")
    assert not pairs.recognises(tmp_path)
    assert not pairs.recognises(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match=r"pictures with a \.txt of the same name beside each"):
        read_dataset(tmp_path)


def test_a_text_in_another_encoding_is_named(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_bytes("Ein Hund.\nEin Café.\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"a\.txt, line 2: not UTF-8 text"):
        read_dataset(tmp_path)
