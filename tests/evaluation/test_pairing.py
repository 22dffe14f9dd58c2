from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.errors import UsageError
from capcli.evaluation.pairing import match
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References


def references(*names: str, ids: bool = False) -> References:
    items = [Reference(name, ("A dog.",), str(place) if ids else None) for place, name in enumerate(names, 1)]
    return References(Path("r.json"), "r", None, tuple(items))


def predictions(*names: str | tuple[str, ...]) -> list[Prediction]:
    rows = [(name,) if isinstance(name, str) else name for name in names]
    return [Prediction(row, f"about {row[0]}", f"p.jsonl, line {line}") for line, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("name", "ids", "prediction"),
    [
        ("a.jpg", True, "1"),
        ("a.jpg", True, "0001"),
        ("a.jpg", True, "a.jpg"),
        ("a.jpg", False, "/home/me/pictures/a.jpg"),
        ("a.jpg", False, r"C:\pictures\a.jpg"),
        ("val2014/COCO_val2014_000000391895.jpg", False, "391895"),
        ("000000391895.jpg", False, "000000391895"),
        (unicodedata.normalize("NFC", "café.jpg"), False, unicodedata.normalize("NFD", "café.jpg")),
        ("a.jpg", True, ("77", "x/a.jpg")),
        ("1056338697_4f7d7ce270.jpg", False, "1056338697_4f7d7ce270"),
        ("x/1056338697_4f7d7ce270.JPG", True, "x/1056338697_4f7d7ce270"),
        ("1056338697_4f7d7ce270", False, "x/1056338697_4f7d7ce270.jpg"),
        ("3.jpg", False, "3"),
        ("a.jpg", True, "1.0"),
        ("3.jpg", False, "3.0"),
        ("val2014/COCO_val2014_000000391895.jpg", False, "391895.0"),
        ("3.0", False, "3.0"),
        ("in/train.jpg", False, "in\train.jpg"),
    ],
)
def test_a_prediction_finds_its_image(name: str, ids: bool, prediction: str) -> None:
    found = match(references(name, "other.jpg", ids=ids), predictions(prediction, "other.jpg"))
    assert [pair.reference.name for pair in found.pairs] == [name, "other.jpg"]
    assert not found.missing


def test_folders_tell_equal_names_apart() -> None:
    found = match(references("a/1.jpg", "b/1.jpg"), predictions("/data/b/1.jpg", "/data/a/1.jpg"))
    assert [(pair.reference.name, pair.caption) for pair in found.pairs] == [
        ("a/1.jpg", "about /data/a/1.jpg"),
        ("b/1.jpg", "about /data/b/1.jpg"),
    ]


@pytest.mark.parametrize(
    ("names", "predicted", "message"),
    [
        (["a/1.jpg", "b/1.jpg"], ["1.jpg"], "p.jsonl, line 1: 1.jpg fits 2 images, such as a/1.jpg and b/1.jpg"),
        (["a.jpg", "a.png"], ["a"], "p.jsonl, line 1: a fits 2 images, such as a.jpg and a.png"),
        (["a.jpg"], ["a.png"], "no prediction is about any of its images"),
        (["v1.final.jpg"], ["v1"], "no prediction is about any of its images"),
        (["a.jpg"], ["a.jpg", "a.jpg"], "two predictions for a.jpg: p.jsonl, line 1 and p.jsonl, line 2"),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], "two predictions for a.jpg"),
        (["a.jpg", "b.jpg"], [("a.jpg", "b.jpg")], "line 1: a.jpg and b.jpg are two different images"),
        (
            ["a.jpg"],
            ["b.jpg"],
            "no prediction is about any of its images; it has a.jpg, p.jsonl, line 1 is about b.jpg",
        ),
    ],
)
def test_nothing_is_matched_by_guessing(names: list[str], predicted: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        match(references(*names), predictions(*predicted))


def test_what_is_missing_is_counted_in_words() -> None:
    there = references("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    failed = Prediction(("b.jpg",), None, "p.jsonl, line 9", error="is empty")
    found = match(there, [*predictions("a.jpg", "x.jpg"), failed])
    assert [pair.reference.name for pair in found.pairs] == ["a.jpg"]
    assert found.missing == (
        "1 image could not be captioned, first b.jpg; 2 images with references have no prediction, first c.jpg; "
        "1 prediction has no references, first x.jpg (p.jsonl, line 2)"
    )


def test_an_image_without_captions_has_no_references() -> None:
    items = (Reference("a.jpg", ("A dog.",)), Reference("b.jpg", ()))
    there = References(Path("r.json"), "r", None, items)
    assert match(there, predictions("a.jpg")).missing == ""
    assert match(there, predictions("a.jpg", "b.jpg")).missing.startswith("1 prediction has no references, first b.jpg")


def test_failures_alone_are_no_evaluation() -> None:
    with pytest.raises(UsageError, match=r"none of its images has a caption, p.jsonl, line 1: is empty"):
        match(references("a.jpg"), [Prediction(("a.jpg",), None, "p.jsonl, line 1", error="is empty")])


@given(st.sets(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}){0,2}\.jpg", fullmatch=True), min_size=1), st.randoms())
def test_exact_names_match_in_any_order(names: set[str], order: random.Random) -> None:
    there = sorted(names)
    shuffled = order.sample(there, len(there))
    found = match(references(*there), predictions(*shuffled))
    assert [(pair.reference.name, pair.caption) for pair in found.pairs] == [(name, f"about {name}") for name in there]
