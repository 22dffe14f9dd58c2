"""BLEU (Papineni et al. 2002) as the COCO toolkit computes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

_ORDERS = 4
# The toolkit's guards against division by zero; they decide the score of hypotheses too short for 4-grams.
_TINY = 1e-15
_SMALL = 1e-9


def bleu(references: Sequence[Sequence[Sequence[Hashable]]], hypotheses: Sequence[Sequence[Hashable]]) -> list[float]:
    """BLEU-1 to BLEU-4 over a corpus; brevity is measured against the reference closest in length.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Returns:
        Four values from 0 to 1.

    Raises:
        ValueError: as many hypotheses as images are needed, and an image without references cannot be scored.
    """
    correct = [0] * _ORDERS
    guessed = [0] * _ORDERS
    hypothesis_length = reference_length = 0
    for sentences, hypothesis in zip(references, hypotheses, strict=True):
        length = len(hypothesis)
        hypothesis_length += length
        reference_length += min(map(len, sentences), key=lambda other: (abs(other - length), other))
        for n in range(1, _ORDERS + 1):
            allowed: Counter[tuple[Hashable, ...]] = Counter()
            for sentence in sentences:
                allowed |= _grams(sentence, n)
            correct[n - 1] += (_grams(hypothesis, n) & allowed).total()
            guessed[n - 1] += max(0, length - n + 1)
    ratio = (hypothesis_length + _TINY) / (reference_length + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n in range(1, _ORDERS + 1):
        product *= (correct[n - 1] + _TINY) / (guessed[n - 1] + _SMALL)
        scores.append(product ** (1 / n) * brevity)
    return scores


def _grams(sentence: Sequence[Hashable], n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1))
