from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.metrics.bootstrap import resample
from capcli.metrics.correlation import NAMES, Correlation

ratings = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=2, max_size=40)


def expected(x: np.ndarray, y: np.ndarray) -> list[float]:
    # Here, for it takes a second to import, in every process that tests run in.
    scipy_stats = pytest.importorskip("scipy.stats")
    return [
        scipy_stats.kendalltau(x, y, variant="b").statistic,
        scipy_stats.kendalltau(x, y, variant="c").statistic,
        scipy_stats.spearmanr(x, y).statistic,
        scipy_stats.pearsonr(x, y).statistic,
    ]


def correlate(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    part = Correlation(x, y, np.arange(len(x)))
    return part.scores(np.ones((1, len(x))) if weights is None else weights)[0]


@given(ratings)
def test_they_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).T / 3
    found = correlate(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(found).all()
    else:
        np.testing.assert_allclose(found, expected(x, y), atol=1e-9)
        np.testing.assert_allclose(correlate(-x, y), -found, atol=1e-9)


def test_a_weight_is_how_often_a_picture_occurs() -> None:
    generator = np.random.default_rng(0)
    x, y, pictures = generator.random(12), generator.integers(1, 6, 12).astype(float), np.arange(12) // 2
    weights = np.array([2.0, 0, 1, 1, 0, 3])
    times = weights[pictures].astype(int)
    found = Correlation(x, y, pictures).scores(weights[None])[0]
    np.testing.assert_allclose(found, expected(x.repeat(times), y.repeat(times)), atol=1e-9)


def test_intervals_hold_the_value_and_narrow_with_more_pictures() -> None:
    generator = np.random.default_rng(1)
    widths = []
    for count in (40, 400):
        y = generator.integers(1, 6, count).astype(float)
        x = y + generator.normal(0, 2, count)
        drawn = resample([Correlation(x, y, np.arange(count))], count, 200, 0)
        value = dict(zip(NAMES, correlate(x, y), strict=True))
        for name in NAMES:
            low, high = np.percentile(drawn[name], [2.5, 97.5])
            assert low < value[name] < high
        widths.append(np.ptp(np.percentile(drawn["tau-b"], [2.5, 97.5])))
    assert widths[1] < widths[0] / 2


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        Correlation(np.zeros(2), np.zeros(3), np.zeros(3, int))
