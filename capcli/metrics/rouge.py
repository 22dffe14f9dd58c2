"""ROUGE-L (Lin 2004) as the COCO toolkit computes it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

_BETA = 1.2


def rouge_l(references: Sequence[Sequence[Sequence[Hashable]]], hypotheses: Sequence[Sequence[Hashable]]) -> float:
    """Mean ROUGE-L over the images; best precision and best recall may come from different references.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Returns:
        A value from 0 to 1.

    Raises:
        ValueError: no images, an image without references, or not as many hypotheses as images.
    """
    if not references:
        raise ValueError("ROUGE-L needs at least one image")
    return float(np.mean([_score(refs, words) for refs, words in zip(references, hypotheses, strict=True)]))


def _score(references: Sequence[Sequence[Hashable]], hypothesis: Sequence[Hashable]) -> float:
    # The toolkit splits at single spaces, so that to it an empty sentence is one empty token.
    hypothesis = hypothesis or [""]
    references = [reference or [""] for reference in references]
    common = [_longest_common_subsequence(reference, hypothesis) for reference in references]
    precision = max(common) / len(hypothesis)
    recall = max(length / len(reference) for length, reference in zip(common, references, strict=True))
    if not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _longest_common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Its length."""
    row = [0] * (len(b) + 1)
    for token in a:
        diagonal = 0
        for i, other in enumerate(b, 1):
            above = row[i]
            row[i] = diagonal + 1 if token == other else max(above, row[i - 1])
            diagonal = above
    return row[-1]
