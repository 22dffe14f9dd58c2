from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capcli.errors import DatasetError, UsageError
from capcli.evaluation.references import dataset_references, read_references, read_training_captions

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 1, "caption": "A dog."},
        {"image_id": 2, "caption": "A cat."},
        {"image_id": 1, "caption": "A hound."},
        {"image_id": 1, "caption": " "},
    ],
}
KARPATHY = {
    "images": [
        {
            "filename": "a.jpg",
            "imgid": 1,
            "split": "test",
            "sentences": [{"raw": "A dog."}, {"tokens": ["A", "hound."]}],
        },
        {"filename": "b.jpg", "imgid": 2, "split": "test", "sentences": [{"raw": "A cat."}]},
    ]
}
ROWS = [
    {"image": "a.jpg", "caption": "A dog."},
    {"image": "b.jpg", "captions": ["A cat."]},
    {"image": "a.jpg", "captions": "A hound."},
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    def write(name: str, content: Any) -> Path:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.json", COCO),
        ("r.json", KARPATHY),
        ("r.json", {"a.jpg": ["A dog.", "A hound."], "b.jpg": "A cat."}),
        ("r.json", ROWS),
        ("r.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("r.csv", 'image,caption\na.jpg,A dog.\nb.jpg,A cat.\na.jpg,"A hound."\n'),
        ("r.csv", 'image,captions\na.jpg,"[""A dog."", ""A hound.""]"\nb.jpg,A cat.\n'),
    ],
)
def test_annotation_files_need_no_pictures(write: Callable[[str, Any], Path], name: str, content: Any) -> None:
    references = read_references(write(name, content))
    assert [(item.name, item.captions, item.image) for item in references.items] == [
        ("a.jpg", ("A dog.", "A hound."), None),
        ("b.jpg", ("A cat.",), None),
    ]


@pytest.mark.parametrize("content", [COCO, KARPATHY, {"1": ["A dog."], "2": ["A cat."]}])
def test_ids_are_kept(write: Callable[[str, Any], Path], content: Any) -> None:
    assert [item.id for item in read_references(write("r.json", content)).items] == ["1", "2"]


def test_pictures_beside_the_file_are_found(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    references = read_references(write("r.json", COCO))
    assert [item.image for item in references.items] == [None, tmp_path / "images" / "b.jpg"]


def test_a_dataset_folder_is_named_without_where_it_lies(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    write("captions.csv", "image,caption\na.jpg,A dog.\n")
    references = dataset_references(tmp_path)
    assert references.name == tmp_path.name
    assert [(item.name, item.image) for item in references.items] == [("a.jpg", tmp_path / "a.jpg")]
    assert read_references(tmp_path) == references


@pytest.mark.parametrize(
    ("splits", "wanted", "got", "images"),
    [
        (["train"], None, "train", 1),
        (["", ""], None, None, 2),
        (["", ""], "all", None, 2),
        (["train", "test", "val"], None, "test", 1),
        (["train", "test", "val"], "dev", "dev", 1),
        (["train", "test", "val"], "all", "all", 3),
    ],
)
def test_splits(
    write: Callable[[str, Any], Path], splits: list[str], wanted: str | None, got: str | None, images: int
) -> None:
    rows = "".join(f"{number}.jpg,A dog.,{split}\n" for number, split in enumerate(splits))
    references = read_references(write("r.csv", f"image,caption,split\n{rows}"), wanted)
    assert (references.split, len(references.items)) == (got, images)


@pytest.mark.parametrize(
    ("splits", "wanted", "message"),
    [
        (["train", "val"], None, "has no test split; its images are in train (1), dev (1): choose with --split"),
        (["train"], "test", "has no test split; its images are in train (1)"),
        ([""], "test", "has no test split; it has no splits: --split all"),
    ],
)
def test_a_split_that_is_not_there(
    write: Callable[[str, Any], Path], splits: list[str], wanted: str | None, message: str
) -> None:
    rows = "".join(f"{number}.jpg,A dog.,{split}\n" for number, split in enumerate(splits))
    with pytest.raises(UsageError, match=message.replace("(", r"\(").replace(")", r"\)")):
        read_references(write("r.csv", f"image,caption,split\n{rows}"), wanted)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.json", '{"images": [],\n"annotations": [}', "r.json, line 2: broken JSON"),
        ("r.json", {"images": [{"id": 1}, {"id": 1}], "annotations": []}, "two images have the id 1"),
        ("r.json", COCO | {"images": []}, "annotations[0] is about image 1, which is not among the images"),
        ("r.json", '{"a.jpg": "A dog.", "a.jpg": "A cat."}', "a.jpg is there twice"),
        ("r.json", {"info": 3}, "is JSON of another kind; there are COCO's"),
        ("r.json", {"a.jpg": [" "]}, "r.json: has no captions"),
        ("r.jsonl", '{"image": "a.jpg"}', "line 1: has neither caption nor text nor captions"),
        ("r.csv", 'image,captions\na.jpg,"[3]"\n', "line 2: its captions are no list of texts"),
        ("r.csv", 'image,captions\na.jpg,"[3"\n', "line 2: its captions are no JSON list"),
        ("r.csv", "image,caption,split\na.jpg,x,test\na.jpg,y,val\n", "line 3: a.jpg is in two splits, test and dev"),
        ("r.csv", "image,caption,split\na.jpg,x,foo\n", "r.csv, line 2: unknown split 'foo' (known: train, dev, "),
        ("r.json", '{"1": ["A dog."], "2": %s}' % ("7" * 5000), "a number has too many digits"),
        ("r.jsonl", '{"image": %s}' % ("7" * 5000), "line 1 or after: a number has too many digits"),
        ("r.json", {"images": ["a.jpg"], "dataset": "x"}, "is JSON of another kind"),
        ("r.png", "", "not a dataset; tried"),
    ],
)
def test_what_is_broken_is_told(write: Callable[[str, Any], Path], name: str, content: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_references(write(name, content))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "A dog.\n\nA cat.\n"),
        ("t.csv", "image,caption,split\na,A dog.,train\nb,A cat.,train\nc,A cow.,test\n"),
        ("t.json", {"a": ["A dog.", "A cat."]}),
    ],
)
def test_training_captions_are_those_of_the_train_split(
    write: Callable[[str, Any], Path], name: str, content: Any
) -> None:
    assert read_training_captions(write(name, content)) == {"A dog.", "A cat."}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "\n", "t.txt: has no captions"),
        ("t.csv", "image,caption,split\na,A dog.,val\nc,A cow.,test\n", "t.csv: has no train split"),
    ],
)
def test_no_training_captions(write: Callable[[str, Any], Path], name: str, content: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_training_captions(write(name, content))


def test_held_out_images_are_those_that_training_left_out(write: Callable[[str, Any], Path]) -> None:
    rows = "".join(f"{number}.jpg,A dog.\n" for number in range(200))
    references = read_references(write("r.csv", "image,caption\n" + rows))
    some, more = references.held_out(0.1), references.held_out(0.3)
    assert some.split == "held-out"
    assert 5 <= len(some.items) <= 40
    assert set(some.items) < set(more.items) < set(references.items)
    with pytest.raises(UsageError, match="held out 0% of the images"):
        references.held_out(0.0)


def test_a_dev_split_is_what_was_held_out(write: Callable[[str, Any], Path]) -> None:
    path = write("r.csv", "image,caption,split\na.jpg,A dog.,dev\nb.jpg,A cat.,train\n")
    with pytest.raises(UsageError, match="--split dev"):
        read_references(path, "all").held_out(0.5)


def test_a_dataset_without_splits_has_none(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    path = write("captions.csv", "image,caption\na.jpg,A dog.\n")
    for source in (path, tmp_path):
        assert dataset_references(source).split is None
    with pytest.raises(UsageError, match="has no test split; it has no splits: --split all"):
        dataset_references(path, "test")


def test_captions_are_kept_as_they_are_written(write: Callable[[str, Any], Path]) -> None:
    path = write("r.json", {"a.jpg": [" 1 1/2  miles\n", "\t", "A dog."]})
    assert read_references(path).items[0].captions == (" 1 1/2  miles\n", "A dog.")


@pytest.mark.parametrize(
    ("images", "notes"),
    [
        ([1, 2], []),
        ([1, 2, 3], ["1 image has no references and is left out, first 3.jpg"]),
        ([1, 2, 3, 4], ["2 images have no references and are left out, first 3.jpg"]),
    ],
)
def test_images_without_references_are_counted(
    write: Callable[[str, Any], Path], images: list[int], notes: list[str]
) -> None:
    annotations = [annotation for annotation in COCO["annotations"] if annotation["caption"].strip()]
    named = [{"id": image, "file_name": f"{image}.jpg"} for image in images]
    content = {"images": named, "annotations": annotations}
    assert read_references(write("r.json", content)).notes == notes


def test_empty_references_are_counted(write: Callable[[str, Any], Path]) -> None:
    single = write("one.json", COCO)
    assert read_references(single).notes == ["1 reference is empty and left out, first of a.jpg"]
    several = write("several.csv", "image,caption\na.jpg,\na.jpg,A dog.\na.jpg, \nb.jpg,\n")
    assert read_references(several).notes == [
        "1 image has no references and is left out, first b.jpg",
        "2 references are empty and left out, first of a.jpg",
    ]


@pytest.mark.parametrize(
    ("captions", "pattern"),
    [
        (
            ["<start> A dog . <end>"],
            "1 reference holds special tokens that are scored as words, as in the COCO toolkit, first <start> of a.jpg",
        ),
        (["A dog.", "A <unk> cat.", "[PAD] A hen."], "2 references hold special tokens .*, first <unk> of a.jpg"),
        (["startseq a dog endseq"], "first startseq of a.jpg"),
        (["A dog.</s>"], "first </s> of a.jpg"),
        (["A dog.<|endoftext|>"], "first <|endoftext|> of a.jpg".replace("|", r"\|")),
    ],
)
def test_special_tokens_are_noted(write: Callable[[str, Any], Path], captions: list[str], pattern: str) -> None:
    (note,) = read_references(write("r.json", {"a.jpg": captions, "b.jpg": ["I <3 cats > dogs [sic]."]})).notes
    assert re.search(pattern, note)


def test_flickr30k_needs_no_pictures(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    path = write("results.csv", "image_name| comment_number| comment\na.jpg| 0| A dog.\na.jpg| 1| A hound.\n")
    for source in (path, tmp_path):
        (item,) = read_references(source).items
        assert (item.name, item.captions) == ("a.jpg", ("A dog.", "A hound."))


def test_only_the_pictures_of_the_split_must_be_there(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    path = write("r.csv", "image,caption,split\na.jpg,A dog.,test\nb.jpg,A cat.,train\n")
    assert len(dataset_references(path).items) == 1
    with pytest.raises(DatasetError, match=r"1 image is missing on disk, first .*b\.jpg"):
        dataset_references(path, "all")


def test_a_name_that_no_system_allows_is_a_picture_that_is_not_there(write: Callable[[str, Any], Path]) -> None:
    (item,) = read_references(write("r.json", {"a" * 5000: "A dog."})).items
    assert item.image is None
