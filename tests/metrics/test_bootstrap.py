from __future__ import annotations

import random

import numpy as np
import pytest

from capcli.metrics.bootstrap import full, interval, p_value, resample
from capcli.metrics.diversity import Diversity
from capcli.metrics.statistics import Means


def means(values: list[float]) -> Means:
    return Means(("x",), np.array(values)[:, None])


def test_resamples_spread_like_the_mean() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 100)
    drawn = resample([means(values.tolist())], 100, 2000, seed=0)["x"]
    assert drawn.shape == (2000,)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.03)
    assert drawn.std() == pytest.approx(values.std() / 10, rel=0.1)
    low, high = interval(drawn)
    assert np.mean((drawn >= low) & (drawn <= high)) == pytest.approx(0.95, abs=0.002)


def test_one_seed_draws_the_same_images_for_everything() -> None:
    values = [1.0, 5.0, 2.0, 8.0]
    drawn = resample([means(values)], 4, 50, seed=3)["x"]
    doubled = resample([means([2 * value for value in values])], 4, 50, seed=3)["x"]
    np.testing.assert_allclose(doubled, 2 * drawn)
    assert not np.array_equal(drawn, resample([means(values)], 4, 50, seed=4)["x"])


def test_more_resamples_begin_with_the_fewer() -> None:
    part = means(list(range(7)))
    np.testing.assert_array_equal(resample([part], 7, 30, seed=0)["x"], resample([part], 7, 90, seed=0)["x"][:30])


def test_more_images_than_are_weighed_at_a_time() -> None:
    images = 2**21 + 1
    drawn = resample([means([1.0] * images)], images, 2, seed=0)["x"]
    np.testing.assert_allclose(drawn, [1.0, 1.0])


def test_what_grows_with_different_images_is_centred_on_its_value() -> None:
    draw = random.Random(0)
    part = Diversity([[str(draw.randrange(400)) for _ in range(8)] for _ in range(100)])
    vocabulary = full(part, 100)[2]
    drawn = resample([part], 100, 200, seed=0)["vocabulary"]
    assert drawn.mean() == pytest.approx(vocabulary)
    low, high = interval(drawn)
    assert low < vocabulary < high


def test_p_value_worked_out_by_hand() -> None:
    # Of the resamples of a difference of 1, those at -1, 0, 2 and 3 are as far from it as 0 is.
    assert p_value(np.array([-1.0, 0.0, 1.0, 2.0, 3.0]), 1.0) == pytest.approx(5 / 6)
    assert p_value(np.array([0.9, 1.0, 1.1]), 1.0) == pytest.approx(1 / 4)
    assert p_value(np.zeros(9), 0.0) == 1.0
