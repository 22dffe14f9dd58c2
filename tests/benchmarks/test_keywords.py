"""The nouns of captions, and the fit of keywords to pictures."""

from __future__ import annotations

import dataclasses

import keywords
import numpy as np
import pytest
from nouns import LEAST, Nouns, derive

from capcli.keywords.head import KeywordHead


def test_nouns_are_told_from_adjectives_and_verbs_by_where_they_stand() -> None:
    texts = ["A brown dog is in the snow.", "A dog and two dogs on a bench.", "The brown bench is in the snow."] * LEAST
    assert set(derive([*texts, *["A brown cat sits."] * LEAST])) >= {"dog", "snow", "bench"}
    assert not {"brown", "sits", "dogs", "two", "is"} & set(derive(texts))


def test_nouns_of_a_caption_are_singular_each_once_and_two_words_may_be_one() -> None:
    nouns = Nouns.read()
    assert nouns.find("Two men and a man eat hot dogs near fire hydrants.") == ["man", "hot dog", "fire hydrant"]
    assert nouns.find("A bike beside a Bicycle") == ["bicycle"]
    assert nouns.find("") == []


def test_a_network_finds_the_features_of_words_and_their_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    # Four features say little, so a step leaves none out; a word is here where one of two features is large.
    monkeypatch.setattr(keywords, "DROPPED_INPUTS", 0.0)
    monkeypatch.setattr(keywords, "HIDDEN", 64)
    rng = np.random.default_rng(0)
    pooled = rng.normal(3, 2, (6000, 4)).astype(np.float32)
    right = (np.stack([pooled[:, :2].max(1), pooled[:, 2]], 1) + rng.normal(size=(6000, 2)) > 4).astype(np.float32)
    layers = keywords.learn(pooled, right, np.ones(6000, np.float32))
    head = KeywordHead(("one", "two"), {}, *layers, np.zeros((0, 2), np.float32), 0.3, "")
    scores = head.scores(pooled)
    alone = np.array([[6, 0, 0, 0], [0, 6, 0, 0], [0, 0, 6, 0], [0, 0, 0, 6]], np.float32)
    assert (head.scores(alone) > 0).tolist() == [[True, False], [True, False], [False, True], [False, False]]
    knots = keywords.calibrate_logits(scores, right > 0)
    probabilities = dataclasses.replace(head, calibration=knots).probabilities(pooled)
    assert (np.diff(knots, axis=0) >= 0).all()
    for least in (0.2, 0.5, 0.8):
        chosen = (probabilities > least - 0.1) & (probabilities < least + 0.1)
        assert abs(right[chosen].mean() - probabilities[chosen].mean()) < 0.03


def test_pictures_of_no_share_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(1024, 4)).astype(np.float32)
    right = (pooled[:, :1] > 0).astype(np.float32)
    shares = np.repeat(np.array([1, 0], np.float32), 512)
    lies = np.concatenate([right[:512], 1 - right[512:]])
    taught, lied_to = (keywords.learn(pooled, labels, shares) for labels in (right, lies))
    assert all(map(np.array_equal, taught, lied_to))


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [("a.jsonl", ("a.jsonl", 1.0)), ("b:12@2.5", ("b", 2.5)), ("c@3", ("c", 3.0)), ("d:7", ("d", 1.0))],
)
def test_a_data_set_may_have_a_number_of_pictures_and_a_weight(dataset: str, parts: tuple[str, float]) -> None:
    assert (keywords._parse(dataset)[0], keywords.weight_of(dataset)) == parts
