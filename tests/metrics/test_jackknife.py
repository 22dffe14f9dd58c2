from __future__ import annotations

import numpy as np
import pytest

from capcli.metrics.bootstrap import full
from capcli.metrics.diversity import Diversity
from capcli.metrics.jackknife import jackknife_interval
from capcli.metrics.statistics import Means


def test_of_a_mean_it_is_the_textbook_interval() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 50)
    low, high = jackknife_interval(values.mean(), Means(("x",), values[:, None]).without_each()[:, 0])
    error = values.std(ddof=1) / np.sqrt(50)
    assert (low, high) == pytest.approx((values.mean() - 1.959964 * error, values.mean() + 1.959964 * error))


def test_it_ends_where_the_metric_ends() -> None:
    assert jackknife_interval(0.9, np.array([0.1, 0.9, 0.9]), 0.0, 1.0)[1] == 1.0
    assert jackknife_interval(0.1, np.array([0.1, 0.9, 0.9]), 0.0, 1.0)[0] == 0.0
    assert jackknife_interval(0.5, np.array([0.5, 0.5]), 0.0, 1.0) == (0.5, 0.5)


def test_it_covers_what_other_images_would_have_given_and_not_much_more() -> None:
    draw = np.random.default_rng(0)
    shares = 1 / np.arange(1, 1001)  # words are about as frequent as in a language

    def captions() -> Diversity:
        return Diversity([draw.choice(1000, 8, p=shares / shares.sum()).tolist() for _ in range(60)])

    parts = [captions() for _ in range(300)]
    values = np.array([full(part, 60) for part in parts])
    withouts = [part.without_each() for part in parts]
    for metric in range(3):
        ends = np.array(
            [jackknife_interval(row[metric], without[:, metric]) for row, without in zip(values, withouts, strict=True)]
        )
        mean, true_width = values[:, metric].mean(), 2 * 1.96 * values[:, metric].std()
        assert 0.93 <= np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1])) <= 1
        assert 0.95 <= np.mean(ends[:, 1] - ends[:, 0]) / true_width <= 1.35
