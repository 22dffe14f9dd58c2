"""What people said, as figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from capcli.evaluation.people import (
    Opinions,
    Sampling,
    take_agreement,
    take_along,
    take_gaps,
    take_means,
    take_preferences,
)
from capcli.ratings.judgement import Judgement

HOW = Sampling(200, 0)
_SAID = {"a": "{} by a", "b": "{} by b"}


def rate(rater: str, image: str, system: str, value: int, scale: str = "adequacy") -> Judgement:
    return Judgement(rater, image, scale, (_SAID[system].format(image),), ((system,),), value, "")


def choose(rater: str, image: str, better: str | None) -> Judgement:
    """A choice between a and b, which alternate in who comes first."""
    order = ("a", "b") if len(rater + image) % 2 else ("b", "a")
    captions = tuple(_SAID[system].format(image) for system in order)
    value = 0 if better is None else 1 + order.index(better)
    return Judgement(rater, image, "preference", captions, tuple((system,) for system in order), value, "")


def shared(rater: str, image: str) -> Judgement:
    return Judgement(rater, image, "preference", ("the same",), (("a", "b"),), 0, "")


def test_a_mean_is_over_pictures_of_the_means_over_raters() -> None:
    judgements = [
        rate("Ann", "1", "a", 5),
        rate("Bob", "1", "a", 1),
        rate("Cem", "1", "a", 3),
        rate("Ann", "2", "a", 5),
    ]
    judgements += [rate("Ann", "1", "b", 2), rate("Ann", "2", "b", 4), rate("Ann", "3", "b", 1, "fluency")]
    opinions = Opinions.of(judgements, ("a", "b"))
    means = {(mean.system, mean.scale): mean for mean in take_means(opinions, HOW)}
    assert means["a", "adequacy"].score.value == pytest.approx((3 + 5) / 2)
    assert (means["a", "adequacy"].pictures, means["a", "adequacy"].ratings) == (2, 4)
    assert (means["a", "adequacy"].score.low, means["a", "adequacy"].score.high) == (3, 5)
    assert means["b", "fluency"].score.low is None
    assert means["b", "fluency"].score.why == "a single picture says nothing about others"
    assert ("a", "fluency") not in means
    (gap,) = take_gaps(opinions, HOW)
    assert (gap.a, gap.b, gap.scale, gap.pictures) == ("a", "b", "adequacy", 2)
    assert gap.score.value == pytest.approx(((2 - 3) + (4 - 5)) / 2)
    assert gap.p == pytest.approx(0.5)  # two of two: 2 (1/2)^2


def test_a_caption_that_systems_share_counts_for_each_and_once_for_agreement() -> None:
    both = [replace(rate(rater, "1", "a", 4), systems=(("a", "b"),)) for rater in ("Ann", "Bob")]
    opinions = Opinions.of(both, ("a", "b"))
    assert [(mean.system, mean.score.value, mean.ratings) for mean in take_means(opinions, HOW)] == [
        ("a", 4, 2),
        ("b", 4, 2),
    ]
    assert take_agreement(both)["adequacy"].units == 1


def test_preferences_count_answers_and_decide_pictures_by_majority() -> None:
    judgements = [choose("Ann", "1", "a"), choose("Bob", "1", "a"), choose("Cem", "1", "b")]
    judgements += [choose("Ann", "2", "a"), choose("Bob", "2", "b"), choose("Ann", "3", None), choose("Ann", "4", "b")]
    judgements += [shared("Ann", "5"), shared("Bob", "5")]
    (found,) = take_preferences(Opinions.of(judgements, ("a", "b")), HOW)
    assert (found.for_a, found.even, found.for_b) == (3, 3, 3)
    assert (found.pictures_a, found.pictures_even, found.pictures_b) == (1, 3, 1)
    assert found.score.value == pytest.approx((2 / 3 + 1 / 2 + 1 / 2 + 0 + 1 / 2) / 5)
    assert found.p == 1
    # Turned around it is the other side of the same.
    (turned,) = take_preferences(Opinions.of(judgements, ("b", "a")), HOW)
    assert (turned.for_a, turned.for_b, turned.pictures_b) == (3, 3, 1)
    assert turned.score.value == pytest.approx(1 - (found.score.value or 0))


def test_the_sign_test_is_over_pictures_and_not_over_answers() -> None:
    # Ten raters of one picture are no ten pictures.
    judgements = [choose(f"rater {number}", "1", "a") for number in range(10)]
    assert take_preferences(Opinions.of(judgements, ("a", "b")), HOW)[0].p == 1
    judgements = [choose("Ann", str(number), "a" if number < 8 else "b") for number in range(10)]
    assert take_preferences(Opinions.of(judgements, ("a", "b")), HOW)[0].p == pytest.approx(0.109375)


def test_three_systems_of_which_two_share_a_caption() -> None:
    judgements = [Judgement("Ann", "1", "preference", ("x", "y"), (("a", "c"), ("b",)), 1, "")]
    judgements += [Judgement("Ann", "1", "preference", ("x",), (("a", "c"),), 0, "")]
    found = {
        (preference.a, preference.b): preference
        for preference in take_preferences(Opinions.of(judgements, ("a", "b", "c")), HOW)
    }
    assert (found["a", "b"].for_a, found["b", "c"].for_b, found["a", "c"].even) == (1, 1, 1)


def test_agreement_of_preferences_is_nominal_and_leaves_out_what_nobody_was_asked() -> None:
    pytest.importorskip("krippendorff")
    judgements = [choose(rater, str(number), "ab"[number % 2]) for rater in ("Ann", "Bob") for number in range(4)]
    judgements += [shared(rater, str(number)) for rater in ("Ann", "Bob") for number in range(90, 99)]
    found = take_agreement(judgements)["preference"]
    assert (found.alpha, found.units, found.raters) == (1.0, 4, 2)
    judgements += [choose("Cem", str(number), "ba"[number % 2]) for number in range(4)]
    alpha = take_agreement(judgements)["preference"].alpha
    assert alpha is not None and alpha < 0.3


def test_metrics_that_say_what_people_say_and_what_they_do_not() -> None:
    generator = np.random.default_rng(0)
    judgements, numbers = [], count()
    values: dict[tuple[str, str], float] = {}
    for image in map(str, range(30)):
        for system in ("a", "b"):
            level = int(generator.integers(1, 6))
            judgements += [rate("Ann", image, system, level)]
            values[image, _SAID[system].format(image)] = level + next(numbers) * 1e-6
        better = max("ab", key=lambda system: values[image, _SAID[system].format(image)])
        judgements += [choose("Ann", image, better)]
    opinions = Opinions.of(judgements, ("a", "b"))
    right = {along.scale: along for along in take_along(opinions, {"M": values}, HOW)}
    assert right["adequacy"].scores["Pearson"].value == pytest.approx(1, abs=1e-6)
    assert right["adequacy"].count == 60
    assert (right["preference"].scores["agrees"].value, right["preference"].count) == (1, 30)
    wrong = take_along(opinions, {"M": {key: -value for key, value in values.items()}}, HOW)
    assert wrong[0].scores["Spearman"].value == pytest.approx(-1, abs=0.1)
    assert wrong[-1].scores["agrees"].value == 0
    constant = take_along(opinions, {"M": dict.fromkeys(values, 1.0)}, HOW)
    assert constant[0].scores["tau-b"].value is None
    assert "not defined" in str(constant[0].scores["tau-b"].why)
    assert constant[-1].scores["agrees"].value == 0.5
