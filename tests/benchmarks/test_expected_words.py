"""The fit of the words that a search expects."""

from __future__ import annotations

import expected_words
import numpy as np
from keywords import calibrate


def test_a_regression_finds_the_feature_of_a_word_and_its_probability() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(3, 2, (6000, 4)).astype(np.float32)
    right = (pooled[:, [1, 2]] + rng.normal(size=(6000, 2)) > 4).astype(np.float32)
    weight, bias = expected_words.regress(pooled, right, np.ones(6000, np.float32))
    assert list(np.abs(weight).argmax(1)) == [1, 2]
    scores = pooled @ weight.T + bias
    knots = calibrate(scores, right > 0)
    probabilities = np.interp(scores, *knots.T)
    assert (np.diff(knots, axis=0) >= 0).all()
    for least in (0.2, 0.5, 0.8):
        chosen = (probabilities > least - 0.1) & (probabilities < least + 0.1)
        assert abs(right[chosen].mean() - probabilities[chosen].mean()) < 0.03
