"""What hypotheses are like apart from their references: how varied, how long, how repetitive, how original."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from capcli.arrays import Float64Array, IntArray
from capcli.metrics.grams import Gram
from capcli.metrics.statistics import Means, Tokens


class Diversity:
    """Different words and bigrams in all hypotheses together: a type is one of them, however often it occurs.

    Names are distinct-1 and distinct-2, the types' share in all words and bigrams (Li et al. 2016), and
    vocabulary, the number of different words. All depend on the number of images: only compare equally many.

    Args:
        hypotheses: one sentence for each image as tokens.
    """

    names = ("distinct-1", "distinct-2", "vocabulary")
    grows = True

    def __init__(self, hypotheses: Sequence[Tokens]) -> None:
        self._hypotheses = hypotheses
        self._words = _Types([[(word,) for word in words] for words in hypotheses])
        self._bigrams = _Types([list(pairwise(words)) for words in hypotheses])

    def scores(self, weights: Float64Array) -> Float64Array:
        words, bigrams = self._words.different(weights), self._bigrams.different(weights)
        return _stacked(words, self._words.all(weights), bigrams, self._bigrams.all(weights))

    def per_image(self) -> dict[str, Float64Array]:
        return {}

    def without_each(self) -> Float64Array:
        return _stacked(*self._words.without_each(), *self._bigrams.without_each())

    def beside(self, other: Diversity) -> Diversity:
        return Diversity([*self._hypotheses, *other._hypotheses])


def length_statistics(hypotheses: Sequence[Tokens]) -> Means:
    """Length in words, and repetition: whether a word comes twice in a row or a bigram twice in the sentence.

    Args:
        hypotheses: one sentence for each image as tokens.
    """
    values = [(len(words), _repeats(words)) for words in hypotheses]
    return Means(("length", "repetition"), np.array(values, float).reshape(-1, 2))


def identity_statistics(hypotheses: Sequence[Tokens], training: Collection[Tokens]) -> Means:
    """Whether a hypothesis is word for word a caption of the training data.

    Args:
        hypotheses: one sentence for each image as tokens.
        training: captions as tokens.
    """
    known = {tuple(words) for words in training}
    return Means(("identical",), np.array([tuple(words) in known for words in hypotheses], float).reshape(-1, 1))


class _Types:
    """Occurrences by type; keeps each pair of a type and an image in which it occurs, ordered by type."""

    def __init__(self, sentences: Sequence[Sequence[Gram]]) -> None:
        types = {gram: number for number, gram in enumerate(dict.fromkeys(g for grams in sentences for g in grams))}
        pairs = sorted({(types[gram], image) for image, grams in enumerate(sentences) for gram in grams})
        self._images: IntArray = np.array([image for _, image in pairs], int)
        # The first of each type: types are numbered without gaps.
        self._starts: IntArray = np.searchsorted([number for number, _ in pairs], np.arange(len(types)))
        self._lengths: Float64Array = np.array([len(grams) for grams in sentences], float)

    def different(self, weights: Float64Array) -> Float64Array:
        """Types in S resamples, shape (S,)."""
        if not len(self._images):
            return np.zeros(len(weights))
        present = np.ascontiguousarray(weights.T > 0)
        occurring = np.logical_or.reduceat(present[self._images], self._starts, axis=0)
        types: Float64Array = occurring.sum(0, dtype=float)
        return types

    def all(self, weights: Float64Array) -> Float64Array:
        """Occurrences in S resamples, shape (S,)."""
        return weights @ self._lengths

    def without_each(self) -> tuple[Float64Array, Float64Array]:
        """Types and occurrences without each image in turn, shapes (N,)."""
        images = len(self._lengths)
        alone = np.diff(self._starts, append=len(self._images)) == 1
        own = np.bincount(self._images[self._starts[alone]], minlength=images)
        return (len(self._starts) - own).astype(float), self._lengths.sum() - self._lengths


def _stacked(
    words: Float64Array, all_words: Float64Array, bigrams: Float64Array, all_bigrams: Float64Array
) -> Float64Array:
    return np.stack([_share(words, all_words), _share(bigrams, all_bigrams), words], axis=-1)


def _share(part: Float64Array, whole: Float64Array) -> Float64Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _repeats(words: Tokens) -> bool:
    bigrams = list(pairwise(words))
    return len(set(bigrams)) < len(bigrams) or any(first == second for first, second in bigrams)
