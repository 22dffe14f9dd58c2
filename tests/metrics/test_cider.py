from __future__ import annotations

import random

import numpy as np
import pytest

from capcli.metrics import CiderD, corpus_cider_d

Corpus = tuple[list[list[list[str]]], list[list[str]]]


def corpus(images: int, seed: int = 0) -> Corpus:
    """Random sentences over few words, so that n-grams recur within and across images; some are short."""
    draw = random.Random(seed)

    def sentence() -> list[str]:
        return [draw.choice(["a", "b", "c", "d", "e", "f"]) for _ in range(draw.randint(1, 12))]

    references = [[sentence() for _ in range(draw.randint(1, 5))] for _ in range(images)]
    return references, [sentence() for _ in range(images)]


def test_equals_the_coco_toolkit() -> None:
    scorer = pytest.importorskip("pycocoevalcap.cider.cider")
    references, hypotheses = corpus(40)
    hypotheses[3] = []
    hypotheses[4] = ["unseen", "words", "a", "b"]
    hypotheses[5] = references[5][0]
    total, per_image = scorer.Cider().compute_score(
        {i: [" ".join(words) for words in sentences] for i, sentences in enumerate(references)},
        {i: [" ".join(words)] for i, words in enumerate(hypotheses)},
    )
    np.testing.assert_allclose(CiderD(references).score(hypotheses), per_image, rtol=0, atol=1e-9)
    assert corpus_cider_d(references, hypotheses) == pytest.approx(total, abs=1e-9)


def test_value_worked_out_by_hand() -> None:
    # Two images without a common n-gram, so every idf is log 2: "a b" against "a b c" has the cosines
    # 2 / sqrt(2 * 3), 1 / sqrt(1 * 2), 0 and 0, and is one bigram shorter.
    references = [[["a", "b", "c"]], [["x", "y"]]]
    expected = 10 * (2 / 6**0.5 + 1 / 2**0.5) / 4 * np.exp(-1 / 72)
    np.testing.assert_allclose(CiderD(references).score([["a", "b"], ["z"]]), [expected, 0.0], atol=1e-12)


def test_repeating_a_word_is_clipped() -> None:
    cider = CiderD([[["a", "dog", "runs", "fast"]], [["a", "cat"]]])
    assert cider.reward(0, ["a", "dog", "runs", "fast"]) == pytest.approx(10.0)
    assert cider.reward(0, ["dog", "dog", "dog", "dog"]) < cider.reward(0, ["a", "dog"])


def test_rewards_are_scores_in_any_order_and_of_any_token() -> None:
    references, hypotheses = corpus(12, seed=1)
    cider = CiderD(references)
    scores = cider.score(hypotheses)
    order = [7, 0, 7, 11]
    np.testing.assert_array_equal(cider.rewards(order, [hypotheses[i] for i in order]), scores[order])
    assert cider.reward(7, hypotheses[7]) == scores[7]

    indices = CiderD([[[ord(word) for word in words] for words in sentences] for sentences in references])
    as_indices = [tuple(ord(word) for word in words) for words in hypotheses]
    np.testing.assert_allclose(indices.score(as_indices), scores, atol=1e-12)
    assert cider.rewards([], []).shape == (0,)


def test_a_single_image_scores_nothing() -> None:
    assert corpus_cider_d([[["a", "dog"]]], [["a", "dog"]]) == 0.0


def test_impossible_input() -> None:
    with pytest.raises(ValueError):
        CiderD([])
    with pytest.raises(ValueError):
        CiderD([[["a"]], []])
    cider = CiderD([[["a"]], [["b"]]])
    with pytest.raises(ValueError):
        cider.score([["a"]])
    with pytest.raises(ValueError):
        cider.rewards([0, 1], [["a"]])
