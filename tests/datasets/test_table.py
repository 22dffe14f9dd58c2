from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import read_dataset, table
from capcli.datasets.detect import read_entries
from capcli.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path, touch: Callable[..., None]) -> Path:
    touch(tmp_path, "a.jpg", "images/b.jpg")
    return tmp_path


def test_csv_collects_rows_of_an_image(folder: Path) -> None:
    (folder / "captions.csv").write_text(
        "\ufeffimage,caption,split\n"
        'a.jpg,"A dog, a cat.",train\n'
        'b.jpg,"A boat\nat sea.",val\n'
        "a.jpg,A dog.,train\n"
        "a.jpg,,\n",
        encoding="utf-8",
    )
    (folder / "other.csv").write_text("x,y\n")
    assert table.recognises(folder)
    assert [(item.image, item.captions, item.split) for item in read_dataset(folder).items] == [
        (folder / "a.jpg", ("A dog, a cat.", "A dog."), "train"),
        (folder / "images" / "b.jpg", ("A boat\nat sea.",), "dev"),
    ]


@pytest.mark.parametrize("key", ["image", "file", "filename", "file_name", "path"])
def test_jsonl_with_every_name_for_the_image(folder: Path, key: str) -> None:
    rows = [
        {key: "a.jpg", "caption": "A dog."},
        {key: str(folder / "images" / "b.jpg"), "caption": "Ein Café."},
    ]
    file = folder / "mine.jsonl"
    file.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    dataset = read_dataset(file)
    assert dataset == read_dataset(folder)
    assert [item.captions for item in dataset.split("train")] == [("A dog.",), ("Ein Café.",)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "picture,caption\n", "the header names no image column"),
        ("t.csv", "image,words\na.jpg,x\n", "line 2: has neither caption nor text nor captions"),
        ("t.csv", "", "the header names no image column"),
        ("t.csv", "image,caption\n", "no captions"),
        ("t.csv", "image,caption\na.jpg,A dog.\na.jpg,A dog, a cat.\n", "line 3: more fields"),
        ("t.csv", "image,caption\na.jpg\n", "line 2: fewer fields"),
        ("t.csv", 'image,caption\na.jpg,"A dog.\n', "broken CSV"),
        ("t.csv", "image,caption,split\na.jpg,A dog.,later\n", "line 2: unknown split 'later'"),
        (
            "t.csv",
            "image,caption,split\na.jpg,A dog.,train\na.jpg,A dog.,test\n",
            "in two splits, train and test",
        ),
        ("t.csv", "image,caption\nabsent.jpg,A dog.\n", r"missing on disk, first .*absent\.jpg"),
        ("t.csv", "image,caption\n,A dog.\n", "line 2: names no image"),
        ("t.csv", "image,caption,caption\na.jpg,A dog.,A hound.\n", "line 1: two columns are called caption"),
        ("t.csv", "sep=;\npicture;caption\n", "line 2: the header names no image column"),
        ("t.tsv", "a.jpg A dog.\n", r"line 1: not of the form path<TAB>caption"),
        ("t.jsonl", '{"image": "a.jpg", "caption": "A dog."}\n{"image":\n', "line 2: broken JSON"),
        ("t.jsonl", '["a.jpg", "A dog."]\n', "line 1: not a JSON object"),
        ("t.jsonl", '{"image": "a.jpg", "caption": 3}\n', "line 1: its caption is no text"),
    ],
)
def test_broken_tables(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_dataset(folder)


def test_several_tables_are_not_guessed_between(folder: Path) -> None:
    (folder / "one.csv").touch()
    (folder / "two.jsonl").touch()
    with pytest.raises(DatasetError, match=r"one\.csv, two\.jsonl"):
        read_dataset(folder)


SAVED = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@pytest.mark.parametrize("separator", SAVED.values(), ids=SAVED)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("first", ["", "sep={}", '"SEP={}"'])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_tables_as_spreadsheets_save_them(
    folder: Path, separator: str, newline: str, mark: str, first: str, name: str
) -> None:
    rows = [
        ["Image", "Caption", "split"],
        ["a.jpg", f'"A dog{separator} a cat; a cow, all ""brown""."', "train"],
        ["images/b.jpg", "A boat.", "val"],
        ["", "", ""],
    ]
    lines = [*([first.format(separator)] if first else []), *(separator.join(row) for row in rows)]
    (folder / name).write_bytes((mark + newline.join(lines) + newline).encode())
    assert [(item.image, item.captions, item.split) for item in read_dataset(folder / name).items] == [
        (folder / "a.jpg", (f'A dog{separator} a cat; a cow, all "brown".',), "train"),
        (folder / "images" / "b.jpg", ("A boat.",), "dev"),
    ]


def test_the_separator_is_the_header_s_whatever_captions_hold(folder: Path) -> None:
    (folder / "t.csv").write_text("image;caption\na.jpg;A, b, c, d.\nb.jpg;Red, green, blue.\n")
    assert [item.captions for item in read_dataset(folder).items] == [("A, b, c, d.",), ("Red, green, blue.",)]


def test_lines_are_counted_from_the_top_of_the_file(folder: Path) -> None:
    (folder / "t.csv").write_text('sep=;\nimage;caption\na.jpg;"A\ndog."\nb.jpg;A;boat.\n')
    with pytest.raises(DatasetError, match=r"t\.csv, line 5: more fields than the header \(a semicolon without quotes"):
        read_dataset(folder)


@pytest.mark.parametrize(
    "name",
    [r"sub\train.jpg", r".\sub\train.jpg", r"sub\\train.jpg", "sub/train.jpg"],
)
def test_paths_of_windows_are_found(folder: Path, touch: Callable[..., None], name: str) -> None:
    touch(folder, "images/sub/train.jpg")
    (folder / "t.csv").write_text(f"image,caption\n{name},A dog.\n")
    assert [item.image for item in read_dataset(folder).items] == [folder / "images" / "sub" / "train.jpg"]


def test_a_path_of_windows_in_json_is_found_although_it_reads_as_an_escape(
    folder: Path, touch: Callable[..., None]
) -> None:
    touch(folder, "sub/train.jpg")
    (folder / "t.jsonl").write_text('{"image": "sub\\train.jpg", "caption": "A dog."}\n')
    assert [item.image for item in read_dataset(folder).items] == [folder / "sub" / "train.jpg"]


@pytest.mark.skipif(os.sep == "\\", reason="the backslash parts folders there")
def test_a_backslash_in_a_name_is_not_a_folder_where_there_is_such_a_file(
    folder: Path, touch: Callable[..., None]
) -> None:
    touch(folder, r"sub\c.jpg", "sub/c.jpg")
    (folder / "t.csv").write_text("image,caption\nsub\\c.jpg,A dog.\n")
    assert [item.image for item in read_dataset(folder).items] == [folder / r"sub\c.jpg"]


def test_rows_of_text_that_capcli_wrote_are_a_table(folder: Path) -> None:
    (folder / "t.tsv").write_bytes(b"\xef\xbb\xbfa.jpg\tA dog.\tA hound.\r\nb.jpg\t[uncertain] A boat.\r\n")
    assert [(item.image.name, item.captions) for item in read_dataset(folder).items] == [
        ("a.jpg", ("A dog.", "A hound.")),
        ("b.jpg", ("A boat.",)),
    ]


def test_two_lines_a_picture_with_other_fields(folder: Path) -> None:
    rows = [
        {"image": "b.jpg", "caption": caption, "split": split, "kind": "object", "label": "boat"}
        for caption, split in (("A boat at sea.", "dev"), ("A vessel floats.", "dev"))
    ]
    (folder / "captions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "captions_more.csv").write_text("image,caption\nb.jpg,A boat.\nb.jpg,A ship.\na.jpg,A dog.\n")
    assert [(item.image, item.captions, item.split) for item in read_dataset(folder).items] == [
        (folder / "images" / "b.jpg", ("A boat at sea.", "A vessel floats."), "dev")
    ]
    assert [item.captions for item in read_dataset(folder / "captions_more.csv").items] == [
        ("A boat.", "A ship."),
        ("A dog.",),
    ]


def test_a_number_that_a_data_frame_made_a_float_is_the_number(folder: Path) -> None:
    (folder / "t.csv").write_text("image_id,file,caption\n3.0,a.jpg,A dog.\n3,a.jpg,A hound.\n")
    (folder / "t.jsonl").write_text('{"image_id": 3.0, "file": "a.jpg", "caption": "A dog."}\n')
    for name in ("t.csv", "t.jsonl"):
        assert [(entry.id, entry.name) for entry in read_entries(folder / name)] == [("3", "a.jpg")]


def test_blank_captions_are_counted(folder: Path) -> None:
    (folder / "t.csv").write_text("image,caption\na.jpg,A dog.\na.jpg,\na.jpg, \nb.jpg,\n")
    assert [(entry.captions, entry.blank) for entry in read_entries(folder)] == [(("A dog.",), 2), ((), 1)]
