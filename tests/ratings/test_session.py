"""One rater at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capcli.errors import UsageError
from capcli.ratings.judgement import PREFERENCE
from capcli.ratings.options import ADEQUACY_FLUENCY, RatingOptions
from capcli.ratings.questions import Candidates, ask, scales_of
from capcli.ratings.record import read_ratings
from capcli.ratings.session import NotRated, Session

SAID = {"a": ("A dog.", "A cat.", "A cup."), "b": ("A hound.", "A cat.", "A mug.")}


def begin(path: Path, way: str = PREFERENCE, rater: str = "Ann", **captions: tuple[str, ...]) -> Session:
    captions = captions or SAID
    count = len(next(iter(captions.values())))
    pictures = [
        Candidates(f"{number}.jpg", Path(f"{number}.jpg"), {name: texts[number] for name, texts in captions.items()})
        for number in range(count)
    ]
    return Session(ask(pictures, way, rater, 0), scales_of(way), rater, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ratings.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_is_on_the_disk_and_comes_back_to_the_side_it_was_given_to(path: Path) -> None:
    session = begin(path)
    assert (session.count, session.count_open(), session.find_open(-1)) == (2, 2, 0)
    asked = session.ask(0)
    assert session.answer(0, {PREFERENCE: 2}).values == {PREFERENCE: 2}
    first = lines(path)[0]
    assert first["captions"][first["value"] - 1] == asked.captions[1]  # type: ignore[index, operator]
    again = begin(path)
    assert (again.count_open(), again.find_open(-1), again.ask(0).values) == (1, 1, {PREFERENCE: 2})
    assert begin(path, rater="Bob").count_open() == 2


def test_systems_that_say_the_same_are_even_as_far_as_the_rater_came(path: Path) -> None:
    session = begin(path)
    for place in range(session.count):
        session.answer(place, {PREFERENCE: 0})
    shared = [row for row in lines(path) if len(row["captions"]) == 1]  # type: ignore[arg-type]
    assert [(row["captions"], row["systems"], row["value"]) for row in shared] == [(["A cat."], [["a", "b"]], 0)]
    with pytest.raises(UsageError, match="say the same of every picture"):
        begin(path.with_name("other.jsonl"), a=("A cat.",), b=("A cat.",))


def test_what_is_taken_back_is_open_again_and_stays_in_the_file(path: Path) -> None:
    session = begin(path, ADEQUACY_FLUENCY)
    assert session.count == 5
    session.answer(3, {"adequacy": 5, "fluency": 1})
    assert session.count_open() == 4
    assert session.take_back(3).values == {}
    assert session.count_open() == 5
    assert [row["value"] for row in lines(path)] == [5, 1, None, None]
    with pytest.raises(NotRated, match="no answer"):
        session.take_back(3)


def test_two_windows_of_one_rater_see_each_others_answers(path: Path) -> None:
    first, second = begin(path), begin(path)
    first.answer(0, {PREFERENCE: 1})
    assert second.count_open() == 1
    second.answer(0, {PREFERENCE: 2})
    assert first.ask(0).values == {PREFERENCE: 2}


def test_an_answer_counts_for_a_system_that_came_later(path: Path) -> None:
    session = begin(path, ADEQUACY_FLUENCY, a=("A dog.",))
    session.answer(0, {"adequacy": 3, "fluency": 5})
    later = begin(path, ADEQUACY_FLUENCY, b=("A dog.",), c=("A pony.",))
    assert (later.count, later.count_open()) == (2, 1)
    held = read_ratings(path)[0].values()
    assert [(judgement.scale, set(judgement.systems[0]), judgement.value) for judgement in held] == [
        ("adequacy", {"a", "b"}, 3),
        ("fluency", {"a", "b"}, 5),
    ]
    before = path.read_bytes()
    begin(path, ADEQUACY_FLUENCY, b=("A dog.",), c=("A pony.",))
    assert path.read_bytes() == before


def test_a_caption_that_changed_is_asked_again_and_said(path: Path) -> None:
    session = begin(path)
    session.answer(0, {PREFERENCE: 1})
    changed = begin(path, a=("A wolf.", "A cat.", "A glass."), b=SAID["b"])
    assert changed.count_open() == 2
    assert changed.notes == [
        f"{path}: 1 rating is of captions or pictures that are not asked about now; they stay there"
    ]
    assert begin(path).notes == []


@pytest.mark.parametrize("values", [{}, {"adequacy": 3}, {PREFERENCE: 3}, {PREFERENCE: -1}])
def test_an_answer_that_is_none_is_refused(path: Path, values: dict[str, int]) -> None:
    session = begin(path)
    with pytest.raises(NotRated, match="needs preference, from 0 to 2"):
        session.answer(0, values)
    for place in (-1, 2):
        with pytest.raises(NotRated, match="no such question"):
            session.answer(place, {PREFERENCE: 1})
    assert path.read_bytes() == b""


def test_a_file_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        begin(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        begin(tmp_path / "absent" / "ratings.jsonl")


def test_options_say_what_they_take() -> None:
    assert RatingOptions(rater=" Zoe\u0308 ").name("x") == "Zo\u00eb"
    assert RatingOptions().name("login") == "login"
    for wrong in ({"scale": "beauty"}, {"rater": "  "}, {"count": -1}):
        with pytest.raises(UsageError):
            RatingOptions(**wrong)  # type: ignore[arg-type]
