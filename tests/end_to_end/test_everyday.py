"""Photographs of everyday and not so everyday things, through the installed command: how many captions are right."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Run = Callable[..., "subprocess.CompletedProcess[str]"]

EVERYDAY = Path(__file__).parents[1] / "everyday"
MANIFEST: dict[str, Any] = tomllib.loads((EVERYDAY / "photographs.toml").read_text(encoding="utf-8"))
PHOTOGRAPHS: dict[str, dict[str, Any]] = {photograph["file"]: photograph for photograph in MANIFEST["photograph"]}
NEEDED = ("file", "package", "original", "author", "source", "licence", "stated_in", "one_of", "none_of")

SLACK = 2
"""Processors that compute in bfloat16 and those that do not caption one or two of the photographs differently."""


def forms(words: Iterable[str]) -> set[str]:
    """The words with their regular plurals."""
    return {word + ending for word in words for ending in ("", "s", "es")}


def find_faults(photograph: dict[str, Any], caption: str) -> list[str]:
    """What keeps a caption from being right, one clause each; empty for a right caption."""
    words = set(re.findall(r"[a-z]+", caption.lower()))
    enough = forms(photograph["one_of"])
    absent = set[str]()
    for word in photograph["none_of"]:
        absent |= forms(MANIFEST["groups"][word[1:]] if word.startswith("@") else [word])
    wrong = words & (absent - enough - forms(photograph.get("allowed", [])))
    faults = [] if words & enough else [f"has none of: {', '.join(photograph['one_of'])}"]
    return faults + ([f"not in the picture: {', '.join(sorted(wrong))}"] if wrong else [])


@pytest.mark.slow
def test_the_shipped_model_is_right_about_its_share_of_the_photographs(capcli: Run) -> None:
    done = capcli("caption", EVERYDAY / "images", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    captions = {Path(row["path"]).name: row["caption"] for row in map(json.loads, done.stdout.splitlines())}
    assert captions.keys() == PHOTOGRAPHS.keys()
    faults = {file: find_faults(PHOTOGRAPHS[file], caption) for file, caption in captions.items()}
    right = sum(not found for found in faults.values())
    lines = [
        f"{'wrong' if faults[file] else 'right'}  {file}: {caption}{''.join(f' ({fault})' for fault in faults[file])}"
        for file, caption in captions.items()
    ]
    summary = f"{right} of {len(captions)} right, a share of {right / len(captions):.2f}"
    assert right >= MANIFEST["right"] * len(captions) - SLACK, "\n".join([summary, *lines])


def test_captions_that_people_wrote_are_right_about_every_photograph() -> None:
    captions: dict[str, list[str]] = defaultdict(list)
    with (EVERYDAY / "captions.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            captions[row["image"]].append(row["caption"])
    assert captions.keys() == PHOTOGRAPHS.keys()
    assert {len(written) for written in captions.values()} == {2}
    faults = {
        caption: found
        for file, written in captions.items()
        for caption in written
        if (found := find_faults(PHOTOGRAPHS[file], caption))
    }
    assert not faults


@pytest.mark.parametrize(
    ("file", "caption"),
    [
        ("koala.jpg", "A dog is standing on a tree."),
        ("koala.jpg", "Something gray is in a tree."),
        ("koala.jpg", "A koala and two dogs are in a tree."),
        ("aqueduct.jpg", "A group of people are standing on a bridge."),
        ("old_house.jpg", "A red house."),
        ("eiffel_tower.jpg", "A large clock tower in a park."),
    ],
)
def test_captions_with_nothing_right_or_something_wrong_are_not_right(file: str, caption: str) -> None:
    assert find_faults(PHOTOGRAPHS[file], caption)


def test_at_least_thirty_photographs_say_where_they_come_from_and_that_they_are_free() -> None:
    files = {file.name for file in (EVERYDAY / "images").iterdir()}
    assert files == PHOTOGRAPHS.keys()
    assert len(files) == len(MANIFEST["photograph"]) >= 30
    for photograph in PHOTOGRAPHS.values():
        assert all(photograph.get(name) for name in NEEDED), photograph["file"]
        assert photograph["licence"] in ("public domain", "CC0-1.0"), photograph["file"]
        assert re.fullmatch(r"\S+ \S+ \((PyPI|Debian|npm)\)", photograph["package"]), photograph["file"]
        assert photograph["source"].startswith(("http://", "https://")), photograph["file"]


@pytest.mark.parametrize("file", PHOTOGRAPHS)
def test_every_photograph_is_a_small_jpeg_without_metadata(file: str) -> None:
    path = EVERYDAY / "images" / file
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert min(image.size) <= 320
        assert not image.getexif()
    assert path.stat().st_size < 100_000
