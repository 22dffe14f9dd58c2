"""The map from probabilities of words to how often a caption is good."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.modelfile.confidence import Calibration, PictureCalibration

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


def drawn_pictures(count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probabilities, features of pictures of two kinds, and whether captions are good: more are of one kind."""
    chance = np.random.default_rng(0)
    kind, means = chance.integers(0, 2, count), chance.uniform(0.05, 1.0, count)
    pooled = chance.normal(size=(count, 12)) + 5 + 4 * kind[:, None] * (np.arange(12) < 3)
    truth = [Calibration(3.0, intercept) for intercept in (3.0, 0.0)]
    return means, pooled, chance.random(count) < [truth[which](mean) for which, mean in zip(kind, means, strict=True)]


def test_pictures_of_each_kind_get_the_odds_of_their_kind() -> None:
    means, pooled, good = drawn_pictures()
    fitted = PictureCalibration.fit(means, pooled, good)
    assert fitted is not None
    middles = np.full((2, 12), 5.0)
    middles[1, :3] += 4
    found = fitted.of_pictures(middles.astype(np.float32))
    assert [calibration.slope for calibration in found] == pytest.approx([3.0, 3.0], abs=0.2)
    assert [calibration.intercept for calibration in found] == pytest.approx([3.0, 0.0], abs=0.2)


def test_weights_count_pictures_as_often_as_they_say() -> None:
    means, pooled, good = drawn_pictures(1000)
    weights = np.random.default_rng(1).integers(1, 4, len(means))
    repeated = [np.repeat(values, weights, axis=0) for values in (means, pooled, good)]
    found, expected = PictureCalibration.fit(means, pooled, good, weights), PictureCalibration.fit(*repeated)
    assert found is not None and expected is not None
    # The targets alone know how many there are, not what each weighs.
    np.testing.assert_allclose(found.weight, expected.weight, rtol=0.05, atol=0.01)
    assert found.calibration.slope == pytest.approx(expected.calibration.slope, rel=0.02)


def test_there_is_no_calibration_of_pictures_without_evidence() -> None:
    means, pooled, good = drawn_pictures(60)
    assert PictureCalibration.fit(means[:40], pooled[:40], good[:40]) is None
    assert PictureCalibration.fit(means, pooled, np.ones(60, bool)) is None
    assert PictureCalibration.fit(np.where(good, 0.1, 0.9), pooled, good) is None


def test_json_keeps_every_digit() -> None:
    calibration = Calibration(1 / 3, -2 / 7, ((0.0, 1 / 9, 7), (0.1, 0.2, 3)))
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize("numbers", [(0.0, 1.0), (-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)])
def test_numbers_that_order_nothing_are_refused(numbers: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="orders nothing"):
        Calibration(*numbers)
