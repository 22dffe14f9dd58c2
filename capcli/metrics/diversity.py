"""What hypotheses are like apart from their references: how varied, how long, how repetitive, how original."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

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
        self._words = _Types([[(word,) for word in words] for words in hypotheses])
        self._bigrams = _Types([list(pairwise(words)) for words in hypotheses])

    def scores(self, weights: np.ndarray) -> np.ndarray:
        vocabulary = self._words.different(weights)
        distinct_1 = _share(vocabulary, self._words.all(weights))
        distinct_2 = _share(self._bigrams.different(weights), self._bigrams.all(weights))
        return np.stack([distinct_1, distinct_2, vocabulary], axis=-1)

    def per_image(self) -> dict[str, np.ndarray]:
        return {}


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
        self._images = np.array([image for _, image in pairs], int)
        # The first of each type: types are numbered without gaps.
        self._starts = np.searchsorted([number for number, _ in pairs], np.arange(len(types)))
        self._lengths = np.array([len(grams) for grams in sentences], float)

    def different(self, weights: np.ndarray) -> np.ndarray:
        """Types in S resamples, shape (S,)."""
        if not len(self._images):
            return np.zeros(len(weights))
        present = np.ascontiguousarray(weights.T > 0)
        return np.logical_or.reduceat(present[self._images], self._starts, axis=0).sum(0, dtype=float)

    def all(self, weights: np.ndarray) -> np.ndarray:
        """Occurrences in S resamples, shape (S,)."""
        return weights @ self._lengths


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _repeats(words: Tokens) -> bool:
    bigrams = list(pairwise(words))
    return len(set(bigrams)) < len(bigrams) or any(first == second for first, second in bigrams)
