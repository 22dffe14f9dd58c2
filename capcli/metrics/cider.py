"""CIDEr and CIDEr-D (Vedantam, Zitnick, Parikh 2015)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from capcli.arrays import Float64Array
from capcli.metrics.grams import ORDERS, Gram, count_grams
from capcli.metrics.statistics import Means, Tokens

_SIGMA = 6.0


class _Vector(NamedTuple):
    """A sentence's n-gram counts, the norm of its tf-idf vector for each n, and its number of bigrams."""

    counts: Counter[Gram]
    norms: list[float]
    length: int


class CiderD:
    """CIDEr-D against a fixed corpus of references, whose statistics are computed once.

    Tokens may be any hashable values (words or vocabulary indices) as long as references and hypotheses use
    the same. Scores are the COCO toolkit's: from 0 to 10, 0.589 where papers print 58.9. In a corpus of one image
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
        counts = [
            [
                Counter({shared.setdefault(gram, gram): n for gram, n in count_grams(sentence).items()})
                for sentence in image
            ]
            for image in references
        ]
        frequency = Counter(gram for image in counts for gram in set().union(*image))
        self._log_images = math.log(len(references))
        self._idf = {gram: self._log_images - math.log(count) for gram, count in frequency.items()}
        self._references = [[self._vector(sentence) for sentence in image] for image in counts]

    def __len__(self) -> int:
        return len(self._references)

    def score(self, hypotheses: Sequence[Tokens]) -> Float64Array:
        """Scores one hypothesis for each image, in the order of the references.

        Returns:
            float64 array of shape (images,).

        Raises:
            ValueError: the number of hypotheses is not the number of images.
        """
        if len(hypotheses) != len(self):
            raise ValueError(f"{len(hypotheses)} hypotheses for {len(self)} images")
        return self.rewards(range(len(self)), hypotheses)

    def rewards(self, indices: Sequence[int], hypotheses: Sequence[Tokens]) -> Float64Array:
        """Scores hypothesis i against the references of image `indices[i]`; images may repeat or be left out.

        Returns:
            float64 array of shape (hypotheses,).

        Raises:
            ValueError: `indices` and `hypotheses` differ in length.
        """
        return np.array([self.reward(index, words) for index, words in zip(indices, hypotheses, strict=True)], float)

    def reward(self, index: int, hypothesis: Tokens) -> float:
        """The score of one hypothesis against the references of image `index`."""
        return self.both(index, hypothesis)[0]

    def both(self, index: int, hypothesis: Tokens) -> tuple[float, float]:
        """CIDEr-D and CIDEr of one hypothesis against the references of image `index`.

        CIDEr is the mean cosine similarity of equations 2 to 4 of the paper. As in the authors' program, words are
        taken as they are where the paper takes their stems, and the value is on the scale of CIDEr-D, times 10.
        """
        vector = self._vector(count_grams(hypothesis))
        references = self._references[index]
        similarities = [self._similarities(vector, reference) for reference in references]
        scale = 10.0 / (ORDERS * len(references))
        return scale * sum(damped for damped, _ in similarities), scale * sum(cosine for _, cosine in similarities)

    def _vector(self, counts: Counter[Gram]) -> _Vector:
        squares = [0.0] * ORDERS
        length = 0
        for gram, count in counts.items():
            squares[len(gram) - 1] += (count * self._idf.get(gram, self._log_images)) ** 2
            if len(gram) == 2:  # what the toolkit takes for a sentence's length is its number of bigrams
                length += count
        return _Vector(counts, [math.sqrt(square) for square in squares], length)

    def _similarities(self, hypothesis: _Vector, reference: _Vector) -> tuple[float, float]:
        """Cosines summed over n: with clipped counts and damped by the difference in length, and as they are."""
        clipped = [0.0] * ORDERS
        products = [0.0] * ORDERS
        for gram in hypothesis.counts.keys() & reference.counts.keys():
            count, other = hypothesis.counts[gram], reference.counts[gram]
            weight = other * self._idf[gram] ** 2
            clipped[len(gram) - 1] += min(count, other) * weight
            products[len(gram) - 1] += count * weight
        norms = [h * r for h, r in zip(hypothesis.norms, reference.norms, strict=True)]
        damping = math.exp(-((hypothesis.length - reference.length) ** 2) / (2 * _SIGMA**2))
        return (
            damping * sum(product / norm for product, norm in zip(clipped, norms, strict=True) if norm),
            sum(product / norm for product, norm in zip(products, norms, strict=True) if norm),
        )


def corpus_cider_d(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> float:
    """Mean CIDEr-D over the images, with document frequencies from the same references, as published."""
    return float(CiderD(references).score(hypotheses).mean())


def cider_statistics(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> Means:
    """CIDEr-D and CIDEr of each image, with document frequencies from the references.

    Resamples of the images keep these document frequencies: they are weights of words, not something measured.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Raises:
        ValueError: no images, an image without references, or not as many hypotheses as images.
    """
    cider = CiderD(references)
    values = [cider.both(index, words) for index, words in zip(range(len(cider)), hypotheses, strict=True)]
    return Means(("CIDEr-D", "CIDEr"), np.array(values))
