from __future__ import annotations

import sys

import pytest

from capcli.metrics.agreement import Level, krippendorff_alpha

# The data of Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": four observers, twelve units.
PAPER = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
LEVELS = (1, 2, 3, 4, 5)


def judgements(data: tuple[tuple[int | None, ...], ...]) -> list[tuple[int, int, int]]:
    return [
        (rater, unit, value) for rater, row in enumerate(data) for unit, value in enumerate(row) if value is not None
    ]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_the_values_that_the_author_published(level: Level, published: float) -> None:
    pytest.importorskip("krippendorff")
    found = krippendorff_alpha(judgements(PAPER), LEVELS, level)
    assert found.alpha == pytest.approx(published, abs=5e-4)
    # Observer B alone judged the twelfth unit.
    assert (found.units, found.raters, found.why) == (11, 4, None)


def test_agreement_is_one_and_the_last_word_counts() -> None:
    pytest.importorskip("krippendorff")
    ratings = [("Ann", "a", 3), ("Ann", "a", 1), ("Ann", "b", 2), ("Bob", "a", 1), ("Bob", "b", 2), ("Cem", "c", 5)]
    found = krippendorff_alpha(ratings, LEVELS, "ordinal")
    assert (found.alpha, found.units, found.raters) == (1.0, 2, 2)


@pytest.mark.parametrize(
    ("ratings", "units", "why"),
    [
        ([], 0, "not defined: nothing was judged by two raters"),
        ([("Ann", "a", 1), ("Bob", "b", 2)], 0, "not defined: nothing was judged by two raters"),
        ([("Ann", "a", 4), ("Bob", "a", 4), ("Bob", "b", 1)], 1, "not defined: every judgement is the same"),
    ],
)
def test_where_it_is_not_defined_it_says_why(ratings: list[tuple[str, str, int]], units: int, why: str) -> None:
    found = krippendorff_alpha(ratings, LEVELS, "ordinal")
    assert (found.alpha, found.units, found.why) == (None, units, why)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    found = krippendorff_alpha(judgements(PAPER), LEVELS, "nominal")
    assert found.alpha is None
    assert 'pip install "capcli[ratings]"' in str(found.why)


def test_a_value_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError):
        krippendorff_alpha([("Ann", "a", 9)], LEVELS, "nominal")
