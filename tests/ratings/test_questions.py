"""What raters are asked, and in which order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.ratings.judgement import PREFERENCE
from capcli.ratings.options import ADEQUACY_FLUENCY
from capcli.ratings.questions import Candidates, ask


def candidates(count: int, *systems: str) -> list[Candidates]:
    return [
        Candidates(f"{number}.jpg", Path(f"{number}.jpg"), {name: f"{name} says {number}" for name in systems})
        for number in range(count)
    ]


def test_every_pair_is_asked_once_and_no_picture_twice_before_all_others() -> None:
    questions = ask(candidates(20, "a", "b", "c"), PREFERENCE, "Ann", 0)
    assert len(questions) == 60
    assert len({question.id for question in questions}) == 60
    for turn in range(3):
        assert len({question.image for question in questions[20 * turn : 20 * turn + 20]}) == 20


def test_sides_and_orders_tell_nothing() -> None:
    questions = ask(candidates(400, "a", "b"), PREFERENCE, "Ann", 0)
    first = Counter(question.systems[0][0] for question in questions)
    assert 150 < first["a"] < 250
    # Neither does what came before: half of the questions have the side of the one before them.
    sides = [question.systems[0][0] for question in questions]
    assert 150 < sum(side == following for side, following in pairwise(sides)) < 250
    graded = ask(candidates(400, "a", "b"), ADEQUACY_FLUENCY, "Ann", 0)
    assert 150 < sum(question.systems[0] == ("a",) for question in graded[:400]) < 250


def test_each_rater_has_an_order_that_comes_back() -> None:
    pictures = candidates(30, "a", "b")
    first = ask(pictures, PREFERENCE, "Ann", 0)
    assert ask(pictures[::-1], PREFERENCE, "Ann", 0) == first
    orders = [[question.id for question in ask(pictures, PREFERENCE, *how)] for how in (("Bob", 0), ("Ann", 1))]
    assert all(order != [question.id for question in first] for order in orders)
    assert all(set(order) == {question.id for question in first} for order in orders)
    # A picture more leaves the others in their order.
    more = [question.id for question in ask(candidates(31, "a", "b"), PREFERENCE, "Ann", 0)]
    assert [key for key in more if key in {question.id for question in first}] == [question.id for question in first]


def test_all_raters_judge_the_same_pictures_of_a_draw() -> None:
    drawn = [
        {question.image for question in ask(candidates(100, "a"), ADEQUACY_FLUENCY, rater, seed, 10)}
        for rater, seed in (("Ann", 0), ("Bob", 0), ("Ann", 1))
    ]
    assert len(drawn[0]) == 10
    assert drawn[0] == drawn[1] != drawn[2]


texts = st.lists(st.sampled_from(["x", "y", "z", ""]), min_size=2, max_size=5)


@settings(max_examples=40)
@given(texts, st.text(max_size=5), st.integers(0, 9))
def test_every_two_systems_meet_once_in_some_question(captions: list[str], rater: str, seed: int) -> None:
    picture = Candidates("a.jpg", Path("a.jpg"), {f"s{number}": text for number, text in enumerate(captions)})
    met: Counter[frozenset[str]] = Counter()
    for question in ask([picture], PREFERENCE, rater, seed):
        assert len(set(question.captions)) == len(question.captions)
        for caption, systems in zip(question.captions, question.systems, strict=True):
            assert all(picture.captions[system] == caption for system in systems)
        sides = question.systems if len(question.systems) > 1 else question.systems * 2
        met.update({frozenset((left, right)) for left in sides[0] for right in sides[1] if left != right})
    pairs = len(captions) * (len(captions) - 1) // 2
    assert len(met) == pairs
    assert set(met.values()) <= {1}


@pytest.mark.parametrize(("way", "count"), [(PREFERENCE, 1), (ADEQUACY_FLUENCY, 1)])
def test_what_two_systems_share_is_asked_about_once(way: str, count: int) -> None:
    picture = Candidates("a.jpg", Path("a.jpg"), {"a": "A dog.", "b": "A dog."})
    (question,) = ask([picture], way, "Ann", 0)
    assert (question.captions, question.systems) == (("A dog.",), (("a", "b"),))
