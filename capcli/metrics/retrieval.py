"""How well pictures find their sentences and sentences their pictures (Hodosh, Young and Hockenmaier 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capcli.arrays import FloatArray, IntArray

DEPTHS = (1, 5, 10)
"""The k of recall at k that papers print."""


@dataclass(frozen=True)
class Direction:
    """One way of retrieval.

    Attributes:
        ranks: of each query the place of the first right answer, from 1 on: whole numbers of shape (queries,).
    """

    ranks: IntArray

    def recall(self, k: int) -> float:
        """R@k: share of the queries, 0 to 1, with a right answer among the first `k`."""
        return float((self.ranks <= k).mean())

    @property
    def median_rank(self) -> float:
        """The median of the ranks."""
        return float(np.median(self.ranks))

    def to_json(self) -> dict[str, float]:
        """Recall at `DEPTHS` and the median rank."""
        return {**{f"R@{k}": self.recall(k) for k in DEPTHS}, "median rank": self.median_rank}


@dataclass(frozen=True)
class Retrieval:
    """Both ways of retrieval.

    Attributes:
        image_to_sentence: pictures are queries; right is any sentence of the picture.
        sentence_to_image: sentences are queries; right is the picture that they are of.
    """

    image_to_sentence: Direction
    sentence_to_image: Direction

    @property
    def mean_recall(self) -> float:
        """Mean of the recalls at `DEPTHS` both ways, 0 to 1."""
        return float(
            np.mean([way.recall(k) for way in (self.image_to_sentence, self.sentence_to_image) for k in DEPTHS])
        )

    def to_json(self) -> dict[str, object]:
        """The figures of both ways, and how many queries each has."""
        return {
            "images": len(self.image_to_sentence.ranks),
            "sentences": len(self.sentence_to_image.ranks),
            "image to sentence": self.image_to_sentence.to_json(),
            "sentence to image": self.sentence_to_image.to_json(),
        }


def retrieve(similarities: FloatArray, owners: Sequence[int] | IntArray) -> Retrieval:
    """Ranks every sentence for every picture and the other way round.

    Of equal similarities the wrong answers come first, so that a model to which all is alike finds nothing.

    Args:
        similarities: B x N, of B pictures and N sentences; the larger, the closer.
        owners: for each sentence the picture it is of, an index below B; every picture has a sentence.

    Raises:
        ValueError: if there is no picture, a picture has no sentence, or sizes and indices do not fit together.
    """
    similarities, owners = np.asarray(similarities), np.asarray(owners, int)
    images, sentences = similarities.shape
    if owners.shape != (sentences,) or not images or not np.array_equal(np.unique(owners), np.arange(images)):
        raise ValueError("every sentence needs a picture, and every picture a sentence")
    of_sentences = similarities[owners, np.arange(sentences)]
    of_images = np.full(images, -np.inf)
    np.maximum.at(of_images, owners, of_sentences)
    own = owners == np.arange(images)[:, None]
    before_sentences = ((similarities >= of_images[:, None]) & ~own).sum(1)
    before_images = ((similarities >= of_sentences) & ~own).sum(0)
    return Retrieval(Direction(before_sentences + 1), Direction(before_images + 1))
