from __future__ import annotations

import numpy as np
import pytest

from capcli.metrics.bootstrap import interval, resample
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
