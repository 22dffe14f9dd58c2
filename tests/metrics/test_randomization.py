from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from capcli.metrics.diversity import Diversity
from capcli.metrics.randomization import p_value, shuffle
from capcli.metrics.statistics import Means


def means(*values: float) -> Means:
    return Means(("x",), np.array(values)[:, None])


def test_shuffles_are_exchanges_of_captions_within_images() -> None:
    a, b = ["a b", "c", "c d e"], ["a", "a f", "g"]
    exchanged = []
    for swaps in product([False, True], repeat=3):
        pairs = [(y, x) if swap else (x, y) for x, y, swap in zip(a, b, swaps, strict=True)]
        first, second = (Diversity([pair[side].split() for pair in pairs]).scores(np.ones((1, 3))) for side in (0, 1))
        exchanged.append((second - first)[0])
    parts = [Diversity([caption.split() for caption in system]) for system in (a, b)]
    shuffled = shuffle(parts[:1], parts[1:], 3, 200, seed=0)
    for name, column in zip(parts[0].names, np.transpose(exchanged), strict=True):
        assert {round(value, 9) for value in shuffled[name]} == {round(value, 9) for value in column}


def test_p_value_is_that_of_all_exchanges() -> None:
    # Of the 2^5 exchanges only the one observed and its opposite differ as much.
    a, b = means(0.1, 0.2, 0.3, 0.4, 0.5), means(0.2, 0.3, 0.5, 0.6, 0.7)
    shuffled = shuffle([a], [b], 5, 20_000, seed=0)["x"]
    assert p_value(shuffled, 0.16) == pytest.approx(2 / 32, abs=0.005)


def test_p_value_worked_out_by_hand() -> None:
    assert p_value(np.array([-1.0, 0.0, 1.0, 2.0, 0.5]), 1.0) == pytest.approx(4 / 6)
    assert p_value(np.array([0.1, -0.2, 0.0]), 1.0) == pytest.approx(1 / 4)
    assert p_value(np.zeros(9), 0.0) == 1.0


def test_seeds_repeat_shuffles_and_more_begin_with_the_fewer() -> None:
    a, b = means(1.0, 5.0, 2.0), means(2.0, 3.0, 4.0)
    first, more, other = (shuffle([a], [b], 3, n, seed)["x"] for n, seed in ((20, 1), (50, 1), (20, 2)))
    np.testing.assert_array_equal(first, more[:20])
    assert not np.array_equal(first, other)


def test_more_images_than_are_weighed_at_a_time() -> None:
    images = 2**20 + 1
    part = means(*[1.0] * images)
    np.testing.assert_allclose(shuffle([part], [part], images, 2, seed=0)["x"], [0.0, 0.0], atol=1e-9)
