from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capcli.datasets import karpathy, read_dataset
from capcli.errors import DatasetError


def image(name: str, split: str, *captions: str, filepath: str | None = None) -> dict[str, Any]:
    sentences = [{"raw": caption, "tokens": caption.lower().split()} for caption in captions]
    entry: dict[str, Any] = {"filename": name, "split": split, "sentences": sentences}
    return entry | ({"filepath": filepath} if filepath else {})


def write(file: Path, *images: object) -> Path:
    file.write_text(json.dumps({"dataset": "flickr8k", "images": images}))
    return file


def test_splits_and_places(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "images/a.jpg", "val2014/b.jpg", "c.jpg", "images/val2014/d.jpg")
    file = write(
        tmp_path / "dataset_flickr8k.json",
        image("a.jpg", "val", "A dog .", "  ", "A cat ."),
        image("b.jpg", "restval", "A boat .", filepath="val2014"),
        image("c.jpg", "train", "A tree ."),
        image("d.jpg", "test", "A car .", filepath="val2014"),
    )
    assert karpathy.recognises(file) and karpathy.recognises(tmp_path)
    dataset = read_dataset(tmp_path)
    assert [(str(item.image.relative_to(tmp_path)), item.captions, item.split) for item in dataset.items] == [
        (str(Path("images/a.jpg")), ("A dog .", "A cat ."), "dev"),
        (str(Path("val2014/b.jpg")), ("A boat .",), "train"),
        ("c.jpg", ("A tree .",), "train"),
        (str(Path("images/val2014/d.jpg")), ("A car .",), "test"),
    ]
    assert read_dataset(file) == dataset


def test_tokens_stand_in_for_raw(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    entry = {"filename": "a.jpg", "split": "train", "sentences": [{"tokens": ["a", "dog"]}]}
    assert read_dataset(write(tmp_path / "dataset.json", entry)).items[0].captions == ("a dog",)


def test_several_files_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("coco", "flickr8k"):
        write(tmp_path / f"dataset_{name}.json", image("a.jpg", "train", "A dog ."))
    with pytest.raises(DatasetError, match=r"dataset_coco\.json, dataset_flickr8k\.json"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (image("a.jpg", "holdout", "A dog ."), "unknown split 'holdout'"),
        ({"split": "train", "sentences": []}, r"images\[0\] has no 'filename'"),
        ({"filename": "a.jpg", "split": "train", "sentences": ["A dog ."]}, r"a sentence of images\[0\]"),
        (image("a.jpg", "train"), "no captions"),
        (image("absent.jpg", "train", "A dog ."), "missing on disk"),
        ({"sentences": []}, r"images\[0\] has no 'split'"),
        ("a.jpg", "JSON of another kind"),
    ],
)
def test_broken_entries(tmp_path: Path, entry: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(write(tmp_path / "dataset.json", entry))
