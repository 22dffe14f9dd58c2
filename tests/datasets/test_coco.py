from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capcli.datasets import coco, read_dataset
from capcli.errors import DatasetError


def content(*names: str) -> dict[str, Any]:
    """A COCO file in which the image with id 10 * i has the captions "i a" and "i b"."""
    images = [{"id": 10 * i, "file_name": name} for i, name in enumerate(names)]
    annotations = [
        {"id": 2 * i + (letter == "b"), "image_id": 10 * i, "caption": f"{i} {letter}\n"}
        for letter in "ab"
        for i in range(len(names))
    ]
    return {"info": {}, "images": images, "annotations": annotations}


def test_captions_json_beside_images(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path / "images", "x.jpg", "y.jpg")
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(content("y.jpg", "x.jpg")), encoding="utf-8-sig")
    assert coco.recognises(tmp_path) and coco.recognises(file)
    dataset = read_dataset(tmp_path)
    assert [(item.image, item.captions, item.split) for item in dataset.items] == [
        (tmp_path / "images" / "y.jpg", ("0 a\n", "0 b\n"), "train"),
        (tmp_path / "images" / "x.jpg", ("1 a\n", "1 b\n"), "train"),
    ]
    assert read_dataset(file) == dataset


def test_published_layout(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "train2017/1.jpg", "val2017/1.jpg", "val2017/2.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_train2017.json").write_text(json.dumps(content("1.jpg")))
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(content("1.jpg", "2.jpg")))
    dataset = read_dataset(tmp_path)
    assert [item.image for item in dataset.split("train")] == [tmp_path / "train2017" / "1.jpg"]
    assert [item.image.name for item in dataset.split("dev")] == ["1.jpg", "2.jpg"]
    assert {item.image.parent.name for item in dataset.split("dev")} == {"val2017"}


def test_images_without_captions_may_be_missing(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "x.jpg")
    value = content("x.jpg")
    value["images"].append({"id": 99, "file_name": "absent.jpg"})
    (tmp_path / "captions.json").write_text(json.dumps(value))
    assert len(read_dataset(tmp_path)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [],\n"annotations": [,]}', "line 2: broken JSON"),
        ('{"images": [], "annotations": []}', "no captions"),
        ('{"annotations": []}', "'images'"),
        ('{"images": [{"file_name": "a.jpg"}], "annotations": []}', r"images\[0\] has no 'id'"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "two images have the id 1"),
        (
            '{"images": [], "annotations": [{"image_id": 7, "caption": "a"}]}',
            r"annotations\[0\] is about image 7",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "bbox": []}]}',
            r"annotations\[0\] has no 'caption'",
        ),
        (json.dumps(content("absent.jpg")), r"1 image is missing on disk, first .*absent\.jpg"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "captions.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path)


def test_ids_that_a_data_frame_made_floats_are_the_numbers(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path, "x.jpg")
    images, annotations = [{"id": 3, "file_name": "x.jpg"}], [{"image_id": 3.0, "caption": "A dog."}]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert [item.captions for item in read_dataset(tmp_path).items] == [("A dog.",)]
