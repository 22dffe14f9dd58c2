from __future__ import annotations

from pathlib import Path

import pytest

from capcli.datasets import read_dataset
from capcli.datasets.detect import read_entries
from capcli.errors import DatasetError


def test_every_line_that_is_not_blank_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "some words.txt"
    file.write_text("\ufeffA dog runs.\r\n\n  a cat, asleep \nA dog runs.", encoding="utf-8")
    found = read_dataset(file)
    assert (found.name, found.pictures) == ("some words", False)
    assert [item.captions for item in found.items] == [("A dog runs.",), ("a cat, asleep",), ("A dog runs.",)]
    assert {item.split for item in found.items} == {"train"}


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_text_without_sentences(tmp_path: Path, content: str) -> None:
    file = tmp_path / "empty.txt"
    file.write_text(content)
    with pytest.raises(DatasetError, match=r"empty.txt: has no sentences; it is to hold one a line$"):
        read_dataset(file)


def test_files_of_flickr8k_are_no_mere_text(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("image,caption\na.jpg,a dog runs\n")
    (tmp_path / "a.jpg").touch()
    found = read_dataset(tmp_path / "captions.txt")
    assert found.pictures
    assert found.items[0].image.name == "a.jpg"


def test_text_has_no_references_to_score_against(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a dog runs\n")
    with pytest.raises(DatasetError, match="not a dataset"):
        read_entries(tmp_path / "words.txt")
