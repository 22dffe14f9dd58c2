from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.metrics.bleu import bleu_statistics
from capcli.metrics.cider import CiderD, cider_statistics
from capcli.metrics.diversity import Diversity, identity_statistics, length_statistics
from capcli.metrics.rouge import rouge_l_statistics
from capcli.metrics.statistics import Average, Means, Statistics, Sums

sentence = st.lists(st.sampled_from("abcd"), max_size=6)
images = st.lists(st.tuples(st.lists(sentence, min_size=1, max_size=3), sentence), min_size=1, max_size=5)


def measured(references: list[list[list[str]]], hypotheses: list[list[str]]) -> list[Statistics]:
    return [
        bleu_statistics(references, hypotheses),
        rouge_l_statistics(references, hypotheses),
        Diversity(hypotheses),
        length_statistics(hypotheses),
        identity_statistics(hypotheses, [["a"], ["a", "b"]]),
    ]


@given(images, st.data())
def test_weights_stand_for_a_corpus_in_which_images_recur(
    corpus: list[tuple[list[list[str]], list[str]]], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.integers(0, len(corpus) - 1), min_size=1, max_size=8))
    weights = np.bincount(drawn, minlength=len(corpus))[None].astype(float)
    one_by_one = np.ones((1, len(drawn)))
    parts = measured([references for references, _ in corpus], [words for _, words in corpus])
    recurring = measured([corpus[i][0] for i in drawn], [corpus[i][1] for i in drawn])
    for part, expected in zip(parts, recurring, strict=True):
        np.testing.assert_allclose(part.scores(weights), expected.scores(one_by_one), atol=1e-12)


@given(images)
def test_leaving_an_image_out_gives_it_no_weight(corpus: list[tuple[list[list[str]], list[str]]]) -> None:
    corpus = [*corpus, ([["a", "b"], ["c"]], ["a", "a", "d"])] * 2
    for part in measured([references for references, _ in corpus], [words for _, words in corpus]):
        np.testing.assert_allclose(part.without_each(), part.scores(1 - np.eye(len(corpus))), atol=1e-12)


@given(images)
def test_corpora_beside_each_other_keep_their_values(corpus: list[tuple[list[list[str]], list[str]]]) -> None:
    references, hypotheses = [references for references, _ in corpus], [words for _, words in corpus]
    ones, zeros = np.ones((1, len(corpus))), np.zeros((1, len(corpus)))
    reverse = [words[::-1] for words in hypotheses]
    for forward, backward in zip(measured(references, hypotheses), measured(references, reverse), strict=True):
        both = forward.beside(backward)
        np.testing.assert_allclose(both.scores(np.concatenate([ones, zeros], axis=1)), forward.scores(ones))
        np.testing.assert_allclose(both.scores(np.concatenate([zeros, ones], axis=1)), backward.scores(ones))


def test_cider_keeps_its_document_frequencies_in_resamples() -> None:
    references = [[["a", "b"]], [["b", "c"], ["c"]], [["d", "a"]]]
    hypotheses = [["a", "b"], ["c"], ["b"]]
    rewards = CiderD(references).rewards([0, 0, 1], [["a", "b"], ["a", "b"], ["c"]])
    scores = cider_statistics(references, hypotheses).scores(np.array([[2.0, 1.0, 0.0]]))
    assert scores[0, 0] == pytest.approx(rewards.mean())


def test_each_row_of_weights_is_a_corpus_of_its_own() -> None:
    means = Means(("x", "y"), np.array([[1.0, 10.0], [3.0, 30.0]]))
    np.testing.assert_array_equal(means.scores(np.array([[1.0, 1.0], [2.0, 0.0]])), [[2.0, 20.0], [1.0, 10.0]])
    sums = Sums(("ratio",), np.array([[1.0, 2.0], [3.0, 6.0]]), lambda totals: totals[..., :1] / totals[..., 1:])
    np.testing.assert_array_equal(sums.scores(np.array([[1.0, 1.0], [0.0, 3.0]])), [[0.5], [0.5]])


def test_values_of_single_images_are_those_of_a_corpus_of_one() -> None:
    references = [[["a", "b", "c", "d", "e"]], [["a", "b"], ["c"]]]
    hypotheses = [["a", "b", "c", "d", "x"], ["c"]]
    per_image = bleu_statistics(references, hypotheses).per_image()
    for image in range(2):
        alone = bleu_statistics(references[image : image + 1], hypotheses[image : image + 1])
        expected = dict(zip(alone.names, alone.scores(np.ones((1, 1)))[0], strict=True))
        assert {name: values[image] for name, values in per_image.items()} == pytest.approx(expected)


def test_average_of_corpora() -> None:
    parts = [Means(("x",), np.array([[1.0], [3.0]])), Means(("x",), np.array([[5.0], [7.0]]))]
    average = Average(parts)
    assert average.names == ("x",)
    assert not average.grows
    np.testing.assert_array_equal(average.scores(np.array([[1.0, 1.0], [0.0, 1.0]])), [[4.0], [5.0]])
    np.testing.assert_array_equal(average.per_image()["x"], [3.0, 5.0])
    np.testing.assert_array_equal(average.without_each(), [[5.0], [3.0]])
    np.testing.assert_array_equal(average.beside(average).scores(np.array([[1.0, 1.0, 0.0, 2.0]])), [[4.5]])
