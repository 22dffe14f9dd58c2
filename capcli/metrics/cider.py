"""CIDEr-D (Vedantam, Zitnick, Parikh 2015) as the COCO toolkit computes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

Tokens = Sequence[Hashable]
Gram = tuple[Hashable, ...]

_ORDERS = 4
_SIGMA = 6.0


class _Vector(NamedTuple):
    """A sentence's n-gram counts, the norm of its tf-idf vector for each n, and its number of bigrams."""

    counts: Counter[Gram]
    norms: list[float]
    length: int


class CiderD:
    """CIDEr-D against a fixed corpus of references, whose statistics are computed once.

    Tokens may be any hashable values (words or vocabulary indices) as long as references and hypotheses use
    the same. Scores are the toolkit's: from 0 to 10, 0.589 where papers print 58.9. In a corpus of one image
    every n-gram is in every document, so everything scores 0.

    Args:
        references: for each image its reference sentences, at least one each; document frequencies are
            counted over these images.

    Raises:
        ValueError: no images, or an image without references.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        if not references or not all(references):
            raise ValueError("CIDEr-D needs at least one image, and at least one reference for each")
        # N-grams recur all over the corpus; one shared tuple for each keeps large corpora in memory.
        shared: dict[Gram, Gram] = {}
        counts = [[_count(sentence, shared) for sentence in sentences] for sentences in references]
        frequency = Counter(gram for image in counts for gram in set().union(*image))
        self._log_images = math.log(len(references))
        self._idf = {gram: self._log_images - math.log(count) for gram, count in frequency.items()}
        self._references = [[self._vector(sentence) for sentence in image] for image in counts]

    def __len__(self) -> int:
        return len(self._references)

    def score(self, hypotheses: Sequence[Tokens]) -> np.ndarray:
        """Scores one hypothesis for each image, in the order of the references.

        Returns:
            float64 array of shape (images,).

        Raises:
            ValueError: the number of hypotheses is not the number of images.
        """
        if len(hypotheses) != len(self):
            raise ValueError(f"{len(hypotheses)} hypotheses for {len(self)} images")
        return self.rewards(range(len(self)), hypotheses)

    def rewards(self, indices: Sequence[int], hypotheses: Sequence[Tokens]) -> np.ndarray:
        """Scores hypothesis i against the references of image `indices[i]`; images may repeat or be left out.

        Returns:
            float64 array of shape (hypotheses,).

        Raises:
            ValueError: `indices` and `hypotheses` differ in length.
        """
        return np.array([self.reward(index, words) for index, words in zip(indices, hypotheses, strict=True)], float)

    def reward(self, index: int, hypothesis: Tokens) -> float:
        """The score of one hypothesis against the references of image `index`."""
        vector = self._vector(_count(hypothesis))
        references = self._references[index]
        total = sum(self._similarity(vector, reference) for reference in references)
        return 10.0 * total / (_ORDERS * len(references))

    def _vector(self, counts: Counter[Gram]) -> _Vector:
        squares = [0.0] * _ORDERS
        length = 0
        for gram, count in counts.items():
            squares[len(gram) - 1] += (count * self._idf.get(gram, self._log_images)) ** 2
            if len(gram) == 2:  # what the toolkit takes for a sentence's length is its number of bigrams
                length += count
        return _Vector(counts, [math.sqrt(square) for square in squares], length)

    def _similarity(self, hypothesis: _Vector, reference: _Vector) -> float:
        """Cosine similarities with clipped counts, summed over n and damped by the difference in length."""
        products = [0.0] * _ORDERS
        for gram in hypothesis.counts.keys() & reference.counts.keys():
            count = reference.counts[gram]
            products[len(gram) - 1] += min(hypothesis.counts[gram], count) * count * self._idf[gram] ** 2
        norms = (h * r for h, r in zip(hypothesis.norms, reference.norms, strict=True))
        cosines = sum(product / norm for product, norm in zip(products, norms, strict=True) if norm)
        return cosines * math.exp(-((hypothesis.length - reference.length) ** 2) / (2 * _SIGMA**2))


def corpus_cider_d(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> float:
    """Mean CIDEr-D over the images, with document frequencies from the same references, as published."""
    return float(CiderD(references).score(hypotheses).mean())


def _count(sentence: Tokens, shared: dict[Gram, Gram] | None = None) -> Counter[Gram]:
    words = tuple(sentence)
    grams = (words[i : i + n] for n in range(1, _ORDERS + 1) for i in range(len(words) - n + 1))
    return Counter(grams if shared is None else (shared.setdefault(gram, gram) for gram in grams))
