from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import read_dataset, table
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
