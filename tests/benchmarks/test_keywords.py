"""The nouns of captions, and the fit of keywords to pictures."""

from __future__ import annotations

import keywords
import numpy as np
from nouns import LEAST, Nouns, derive


def test_nouns_are_told_from_adjectives_and_verbs_by_where_they_stand() -> None:
    texts = ["A brown dog is in the snow.", "A dog and two dogs on a bench.", "The brown bench is in the snow."] * LEAST
    assert set(derive([*texts, *["A brown cat sits."] * LEAST])) >= {"dog", "snow", "bench"}
    assert not {"brown", "sits", "dogs", "two", "is"} & set(derive(texts))


def test_nouns_of_a_caption_are_singular_each_once_and_two_words_may_be_one() -> None:
    nouns = Nouns.read()
    assert nouns.find("Two men and a man eat hot dogs near fire hydrants.") == ["man", "hot dog", "fire hydrant"]
    assert nouns.find("A bike beside a Bicycle") == ["bicycle"]
    assert nouns.find("") == []


def test_a_regression_finds_the_feature_of_a_word_and_its_probability() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(3, 2, (6000, 4)).astype(np.float32)
    right = (pooled[:, [1, 2]] + rng.normal(size=(6000, 2)) > 4).astype(np.float32)
    weight, bias = keywords.regress(pooled, right, np.ones(6000, np.float32))
    assert list(np.abs(weight).argmax(1)) == [1, 2]
    scores = pooled @ weight.T + bias
    knots = keywords.calibrate(scores, right > 0)
    probabilities = np.interp(scores, *knots.T)
    assert (np.diff(knots, axis=0) >= 0).all()
    for least in (0.2, 0.5, 0.8):
        chosen = (probabilities > least - 0.1) & (probabilities < least + 0.1)
        assert abs(right[chosen].mean() - probabilities[chosen].mean()) < 0.03
