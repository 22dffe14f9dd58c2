"""Options of decoding, with the shipped model through the installed command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def several(capcli: Run, examples: Path) -> list[dict[str, Any]]:
    """Rows of a run that asks for much at once."""
    wishes = ("--num-captions", 3, "--prefix", "a photo of", "--min-length", 9, "--min-confidence", 1, "--with-words")
    return rows(capcli("caption", examples, "--format", "jsonl", *wishes))


@pytest.mark.slow
def test_several_captions_differ_and_the_likeliest_comes_first(several: list[dict[str, Any]]) -> None:
    for row in several:
        assert len(set(row["captions"])) == len(row["captions"]) == len(row["confidences"]) == 3
        assert (row["captions"][0], row["confidences"][0]) == (row["caption"], row["confidence"])


def test_every_caption_begins_with_the_prefix(several: list[dict[str, Any]]) -> None:
    assert all(caption.startswith("A photo of ") for row in several for caption in row["captions"])


def test_no_caption_is_shorter_than_asked_for(several: list[dict[str, Any]]) -> None:
    assert all(len(caption.split()) >= 8 for row in several for caption in row["captions"])
    assert all(len(row["words"]) >= 9 for row in several)


def test_words_come_with_log_probabilities(several: list[dict[str, Any]]) -> None:
    for row in several:
        letters = "".join(word["word"] for word in row["words"])
        assert re.sub("[^a-z0-9]", "", row["caption"].lower()) == re.sub("[^a-z0-9]", "", letters.lower())
        assert all(word["log_probability"] <= 0 for word in row["words"])


def test_a_caption_below_the_least_confidence_is_marked(several: list[dict[str, Any]]) -> None:
    assert all(row["uncertain"] is True for row in several)


@pytest.mark.slow
def test_a_draw_depends_on_its_seed_and_not_on_the_batch(capcli: Run, examples: Path) -> None:
    pictures = (examples / "cat.jpg", examples / "coffee.jpg")
    drawn = ("caption", *pictures, "--format", "jsonl", "--sample", "--temperature", 1.2)
    captions = [
        [row["caption"] for row in rows(capcli(*drawn, "--seed", seed, "--batch-size", batch_size))]
        for seed, batch_size in ((3, 1), (3, 2), (4, 2))
    ]
    assert captions[0] == captions[1] != captions[2]


@pytest.mark.slow
def test_a_prefix_of_unknown_words_is_refused(capcli: Run, examples: Path) -> None:
    done = capcli("caption", examples, "--prefix", "a zyxwv of qqqq")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "capcli: error: the model does not know the words 'zyxwv', 'qqqq' of the prefix; choose others\n"
    )


@pytest.mark.slow
def test_heic_and_avif_are_pictures_like_others(capcli: Run, examples: Path, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: pip install 'capcli[heic]'")
    heif.register_heif_opener()
    with Image.open(examples / "cat.jpg") as cat:
        cat.save(tmp_path / "a.heic", quality=95)
        cat.save(tmp_path / "b.avif", quality=95)
    captions = [row["caption"] for row in rows(capcli("caption", tmp_path, "--format", "jsonl"))]
    assert [bool(re.search(r"\b(cat|kitten)\b", caption)) for caption in captions] == [True, True]
