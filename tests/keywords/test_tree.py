"""A user's own keywords, as people write them and as Lightroom exports them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.errors import UsageError
from capcli.keywords.tree import Entry, Tree, read_tree


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "words.txt"


def read(file: Path, text: str) -> Tree:
    file.write_text(text, encoding="utf-8")
    return read_tree(file)


LIGHTROOM = "Animals\n\tDog\n\t\t{puppy}\n\t\t{hound}\n\t\tTerrier\n\t[Birds]\n\t\tSeagull\n[Places]\n\tBeach\n"
PATHS = "Animals\nAnimals > Dog = puppy, hound\nAnimals|Dog|Terrier\nAnimals > [Birds] > Seagull\n[Places] > Beach\n"
SPACES = "Animals\n  Dog {puppy} {hound}\n      Terrier\n\n  [Birds]\n    Seagull\n[Places]\n  Beach"


@pytest.mark.parametrize("text", [LIGHTROOM, PATHS, SPACES, LIGHTROOM.replace("\n", "\r\n"), f"\ufeff{LIGHTROOM}"])
def test_levels_and_synonyms_are_the_same_in_every_spelling(file: Path, text: str) -> None:
    tree = read(file, text)
    assert [(entry.path, entry.parents, entry.synonyms) for entry in tree.entries] == [
        (("Animals",), (), ()),
        (("Animals", "Dog"), ("Animals",), ("puppy", "hound")),
        (("Animals", "Dog", "Terrier"), ("Animals", "Dog"), ()),
        (("Animals", "Birds", "Seagull"), ("Animals",), ()),
        (("Places", "Beach"), (), ()),
    ]
    assert tree.notes == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a > b > a\nc\n", "line 1: a > b > a lies below itself"),
        ("a\n\tA\n", "line 2: a > A lies below itself"),
        ("a > b\nb > a\n", "line 2: b > a lies below itself"),
        ("a > b\nb > c\nc > a\n", "line 3: c > a lies below itself"),
        ("dog\ncat\nDog\n", "line 3: 'Dog' is in line 1 already"),
        ("dog = puppy\npuppy\n", "line 2: 'puppy' is in line 1 already"),
        ("dog = puppy\npup = puppy\n", "line 2: 'puppy' is in line 1 already"),
    ],
)
def test_cycles_and_doubled_words_are_left_out_with_a_note(file: Path, text: str, note: str) -> None:
    assert read(file, text).notes == (f"{file}, {note}; the line is left out",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "holds no keyword"), (b"[a]\n>\n{b}\n = c\n", "holds no keyword"), (b"caf\xe9", "line 1: not UTF-8 text")],
)
def test_a_file_without_words_is_refused(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_tree(file)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match=r"words\.txt: "):
        read_tree(file)


@given(st.text(st.sampled_from("ab\t\n >|={}[],")))
def test_no_word_lies_below_itself_and_none_is_there_twice(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    try:
        entries: tuple[Entry, ...] = read(file, text).entries
    except UsageError:
        return
    words = [word.casefold() for entry in entries for word in {entry.name, *entry.synonyms}]
    assert all(entry.path[-1] == entry.name and entry.name not in entry.path[:-1] for entry in entries)
    assert len(set(words)) == len(words)
