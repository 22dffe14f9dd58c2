"""The file of ratings: whole at any moment, whoever writes it and whatever ends them."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from capcli.errors import CapcliError, DatasetError
from capcli.ratings import record
from capcli.ratings.judgement import Judgement
from capcli.ratings.record import Record, read_ratings

ONE = Judgement("Ann", "a.jpg", "adequacy", ("A dog.",), (("a",),), 4, "2026-11-30T08:00:00+00:00")
CHOICE = Judgement("Ann", "a.jpg", "preference", ("A dog.", "A cat."), (("a",), ("b", "c")), 2, ONE.at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ratings.jsonl"


def test_what_is_added_is_read_and_the_last_word_counts(path: Path) -> None:
    file = Record(path)
    file.add([ONE, CHOICE])
    assert file.read_new() == [ONE, CHOICE]
    assert file.read_new() == []
    Record(path).add([replace(ONE, value=2)])
    assert file.read_new() == [replace(ONE, value=2)]
    held, notes = read_ratings(path)
    assert [rating.value for rating in held.values()] == [2, 2]
    assert notes == []
    file.add([replace(CHOICE, value=None)])
    assert list(read_ratings(path)[0]) == [ONE.key]
    # Nothing is taken from the file.
    assert len(path.read_text().splitlines()) == 4


def test_a_choice_is_the_same_whichever_caption_came_first(path: Path) -> None:
    turned = replace(CHOICE, captions=CHOICE.captions[::-1], systems=(("b",), ("d",)), value=1)
    Record(path).add([CHOICE, turned])
    (held,) = read_ratings(path)[0].values()
    assert (held.preferred, held.systems) == ("A cat.", (("b", "c"), ("d", "a")))


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_what_a_crash_left_of_a_line_is_dropped(path: Path, cut: int) -> None:
    Record(path).add([ONE])
    with path.open("ab") as file:
        file.write(CHOICE.to_line()[:cut])
    held, notes = read_ratings(path)
    assert (list(held), len(notes)) == ([ONE.key], 1)
    assert "broken off" in notes[0]
    Record(path).add([replace(ONE, rater="Bob")])
    assert read_ratings(path)[1] == []
    assert [json.loads(line)["rater"] for line in path.read_text().splitlines()] == ["Ann", "Bob"]


def test_an_editor_may_leave_out_the_last_line_break(path: Path) -> None:
    path.write_bytes(ONE.to_line().rstrip())
    Record(path).add([CHOICE])
    assert len(read_ratings(path)[0]) == 2


def test_many_writers_lose_nothing(path: Path) -> None:
    def rate(rater: str) -> None:
        for number in range(25):
            Record(path).add([replace(ONE, rater=rater, image=f"{number}.jpg")])

    threads = [threading.Thread(target=rate, args=(f"rater {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_ratings(path)[0]) == 100


def test_a_full_disk_leaves_the_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Record(path).add([ONE])
    before = path.read_bytes()

    def fill(file: object, content: bytes) -> None:
        os.write(file.fileno(), content[:20])  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "write_whole", fill)
    with pytest.raises(CapcliError, match="no space left on device; the answer is not stored"):
        Record(path).add([CHOICE])
    assert path.read_bytes() == before


def test_a_file_that_another_program_holds_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "PATIENCE", 0.02)
    held = record.open_locked(path)
    assert held is not None
    with held, pytest.raises(CapcliError, match="is being written by another program"):
        Record(path).add([ONE])


def test_a_file_that_became_shorter_is_said(path: Path) -> None:
    file = Record(path)
    file.add([ONE, CHOICE])
    file.read_new()
    path.write_bytes(ONE.to_line())
    with pytest.raises(CapcliError, match="made it shorter"):
        file.read_new()


def line(**values: object) -> str:
    return json.dumps({**json.loads(ONE.to_line()), **values})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no ratings yet; capcli review --rate takes some"),
        (line(value=None), "holds no ratings yet"),
        ("hello", "line 1: broken JSON; a line of ratings is one JSON object"),
        ("[" * 9999, "line 1: broken JSON"),
        ('{"path": "a.jpg", "caption": "A dog."}', "line 1: is no rating of capcli"),
        (f"{line()}\n\n{line(value=6)}", "line 3: its value is 6, not a whole number from 1 to 5"),
        (line(value=True), "line 1: its value is True"),
        (line(scale="beauty"), "line 1: its scale is 'beauty'"),
        (line(rater=7), "line 1: its rater is no text"),
        (line(captions=[]), "line 1: its captions are not one text"),
        (line(captions=["x", "x"], scale="preference"), "line 1: its captions are not one or two different texts"),
        (line(systems=[]), "line 1: its systems are not a list of names for each caption"),
        (line(scale="preference", value=1), "line 1: its value is 1, not a whole number from 0 to 0"),
        (line()[:50] + "\n" + line(), "line 1: broken JSON"),
    ],
)
def test_a_file_that_holds_something_else_is_one_line(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(DatasetError) as caught:
        read_ratings(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_are_hardly_told_apart_are_named(path: Path) -> None:
    Record(path).add([ONE, replace(ONE, rater="ann "), replace(ONE, rater="Bob")])
    assert read_ratings(path)[1] == [f"{path}: the raters Ann and ann  count as two people"]


def test_half_a_character_comes_back(path: Path) -> None:
    odd = replace(ONE, captions=("A \ud83d dog.",), image="\udcff.jpg")
    Record(path).add([odd])
    assert list(read_ratings(path)[0].values()) == [odd]
