"""ROUGE-L (Lin 2004) as the COCO toolkit computes it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from capcli.metrics.statistics import Means, Tokens

_BETA = 1.2


def rouge_l(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> float:
    """Mean ROUGE-L over the images, from 0 to 1; arguments and errors are those of `rouge_l_statistics`.

    Raises:
        ValueError: also without images.
    """
    if not references:
        raise ValueError("ROUGE-L needs at least one image")
    return float(rouge_l_statistics(references, hypotheses).values.mean())


def rouge_l_statistics(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> Means:
    """ROUGE-L of each image; best precision and best recall may come from different references.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Raises:
        ValueError: an image without references, or not as many hypotheses as images.
    """
    values = [_score(sentences, words) for sentences, words in zip(references, hypotheses, strict=True)]
    return Means(("ROUGE-L",), np.array(values, float).reshape(-1, 1))


def _score(references: Sequence[Tokens], hypothesis: Tokens) -> float:
    # The toolkit splits at single spaces, so that to it an empty sentence is one empty token.
    hypothesis = hypothesis or [""]
    places = _places(hypothesis)
    precision = recall = 0.0
    if not references:
        raise ValueError("ROUGE-L needs at least one reference for each image")
    for reference in references:
        reference = reference or [""]
        common = _longest_common_subsequence(places, len(hypothesis), reference)
        precision = max(precision, common / len(hypothesis))
        recall = max(recall, common / len(reference))
    if not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _places(sentence: Tokens) -> dict[Hashable, int]:
    """For each word the places where it stands, as the bits of an integer."""
    places: dict[Hashable, int] = {}
    for place, word in enumerate(sentence):
        places[word] = places.get(word, 0) | 1 << place
    return places


def _longest_common_subsequence(places: dict[Hashable, int], length: int, other: Tokens) -> int:
    """Its length; a whole row of the classical table at a time, as the bits of an integer (Hyyrö 2004)."""
    full = (1 << length) - 1
    row = full
    for word in other:
        matches = row & places.get(word, 0)
        row = (row + matches) | (row - matches)
    return length - (row & full).bit_count()
