"""The map from probabilities of words to how often a caption is good."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.modelfile.confidence import Calibration

numbers = st.floats(-20, 20)
means = st.floats(1e-12, 1.0)


@given(slope=st.floats(1e-3, 20), intercept=numbers, less=means, more=means)
def test_confidence_never_falls_where_the_words_are_likelier(
    slope: float, intercept: float, less: float, more: float
) -> None:
    calibration = Calibration(slope, intercept)
    low, high = sorted((less, more))
    assert 0.0 <= calibration(low) <= calibration(high) <= 1.0


@given(mean=st.sampled_from([0.0, 1e-300, 1.0]), slope=st.floats(1e-3, 1e3), intercept=st.floats(-1e3, 1e3))
def test_confidence_is_a_number_at_the_ends_too(mean: float, slope: float, intercept: float) -> None:
    assert 0.0 <= Calibration(slope, intercept)(mean) <= 1.0


def drawn(slope: float, intercept: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    means = chance.uniform(0.05, 1.0, count)
    truth = Calibration(slope, intercept)
    return means, chance.random(count) < [truth(mean) for mean in means]


def test_fit_finds_the_odds_that_outcomes_were_drawn_from() -> None:
    fitted = Calibration.fit(*drawn(3.0, 2.0))
    assert fitted is not None
    assert fitted.slope == pytest.approx(3.0, abs=0.15)
    assert fitted.intercept == pytest.approx(2.0, abs=0.15)


def test_fitted_confidence_is_the_share_of_good_ones() -> None:
    means, good = drawn(3.0, 2.0)
    fitted = Calibration.fit(means, good)
    assert fitted is not None
    confidences = np.array([fitted(mean) for mean in means])
    for low in np.arange(0.1, 0.8, 0.1):
        chosen = (confidences >= low) & (confidences < low + 0.1)
        assert good[chosen].mean() == pytest.approx(confidences[chosen].mean(), abs=0.04)


def test_table_counts_what_is_at_or_above_each_tenth() -> None:
    means, good = drawn(3.0, 2.0, 500)
    fitted = Calibration.fit(means, good)
    assert fitted is not None
    confidences = np.array([fitted(mean) for mean in means])
    assert fitted.table[0] == (0.0, good.mean(), 500)
    for least, share, count in fitted.table:
        assert count == (confidences >= least).sum()
        assert share == good[confidences >= least].mean()


@pytest.mark.parametrize(
    ("means", "good"),
    [
        ([0.5] * 10, [True] * 5 + [False] * 5),
        (np.linspace(0.1, 0.9, 100), [True] * 100),
        (np.linspace(0.1, 0.9, 100), [False] * 100),
        (np.linspace(0.1, 0.9, 100), [True] * 50 + [False] * 50),
    ],
    ids=["few", "all good", "all bad", "the surer the worse"],
)
def test_there_is_no_calibration_without_evidence(means: list[float], good: list[bool]) -> None:
    assert Calibration.fit(means, good) is None


def test_json_keeps_every_digit() -> None:
    calibration = Calibration(1 / 3, -2 / 7, ((0.0, 1 / 9, 7), (0.1, 0.2, 3)))
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize("numbers", [(0.0, 1.0), (-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)])
def test_numbers_that_order_nothing_are_refused(numbers: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="orders nothing"):
        Calibration(*numbers)
