from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import read_dataset
from capcli.datasets.detect import read_entries
from capcli.errors import DatasetError

COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "A dog."}]}
KARPATHY = {"images": [{"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A dog."}]}]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Flickr8k.token.txt", "a.jpg#0\tA dog.\n"),
        ("captions.txt", "image,caption\na.jpg,A dog.\n"),
        ("captions.json", json.dumps(COCO)),
        ("dataset_mine.json", json.dumps(KARPATHY)),
        ("anything.csv", "image,caption\na.jpg,A dog.\n"),
        ("results_20130124.token", "a.jpg#0\tA dog.\n"),
        ("results.csv", "image_name| comment_number| comment\na.jpg| 0| A dog.\n"),
        ("anything.ndjson", '{"image_id": "a.jpg", "captions": ["A dog."]}\n'),
        ("anything.jsonl", '{"image": "a.jpg", "caption": "A dog."}\n'),
    ],
)
def test_each_format_as_folder_and_as_file(tmp_path: Path, touch: Callable[..., None], name: str, text: str) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / name).write_text(text)
    dataset = read_dataset(str(tmp_path))
    assert [(item.image, item.captions, item.split) for item in dataset.items] == [
        (tmp_path / "a.jpg", ("A dog.",), "train")
    ]
    assert read_dataset(tmp_path / name) == dataset


@pytest.mark.parametrize(
    "value", [COCO, KARPATHY, {"a.jpg": "A dog."}, {"a.jpg": ["A dog."]}, [{"file": "a.jpg", "text": "A dog."}]]
)
def test_json_files_of_any_name(tmp_path: Path, touch: Callable[..., None], value: object) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "mine.json").write_text(json.dumps(value))
    assert len(read_dataset(tmp_path / "mine.json")) == 1


def test_what_was_tried_is_listed_in_one_line(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    for path in (tmp_path, tmp_path / "a.jpg"):
        with pytest.raises(DatasetError) as caught:
            read_dataset(path)
        message = str(caught.value)
        assert "\n" not in message
        assert all(word in message for word in (str(path), "Flickr8k", "Flickr30k", "Karpathy", "COCO", "table"))


def test_pictures_may_be_missing_where_that_is_allowed(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,A dog.\nb.jpg,A cat.\n")
    with pytest.raises(DatasetError, match=r"1 image is missing on disk, first .*b\.jpg"):
        read_dataset(tmp_path)
    items = read_dataset(tmp_path, missing_ok=True).items
    assert [item.image for item in items] == [tmp_path / "a.jpg", tmp_path / "b.jpg"]


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        read_dataset(tmp_path / "nowhere")


def test_rows_of_one_picture_are_one_entry(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_id,file_name,caption\n7,a.jpg, A dog.\n8,b.jpg,\n7,a.jpg,A  hound.\n")
    assert [(entry.name, entry.id, entry.captions, entry.split) for entry in read_entries(tmp_path)] == [
        ("a.jpg", "7", (" A dog.", "A  hound."), None),
        ("b.jpg", "8", (), None),
    ]


def test_rows_without_a_split_train_where_others_have_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,caption,split\na.jpg,A dog.,restval\nb.jpg,A cat.,\nc.jpg,A cow.,test\n")
    assert [entry.split for entry in read_entries(tmp_path)] == ["train", "train", "test"]


def test_a_picture_under_two_ids_is_one_item(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "a.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]
    annotations = [{"image_id": 1, "caption": "A dog."}, {"image_id": 2, "caption": "A hound."}]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert [item.captions for item in read_dataset(tmp_path).items] == [("A dog.", "A hound.")]
