"""BLEU (Papineni et al. 2002) as the COCO toolkit computes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capcli.arrays import Float64Array
from capcli.metrics.grams import ORDERS, count_grams
from capcli.metrics.statistics import Sums, Tokens

# The toolkit's guards against division by zero; they decide the score of hypotheses too short for 4-grams.
_TINY = 1e-15
_SMALL = 1e-9


def bleu(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> list[float]:
    """BLEU-1 to BLEU-4 over a corpus; arguments and errors are those of `bleu_statistics`.

    Returns:
        Four values from 0 to 1.
    """
    statistics = bleu_statistics(references, hypotheses)
    scores: list[float] = statistics.scores(np.ones((1, len(hypotheses))))[0].tolist()
    return scores


def bleu_statistics(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> Sums:
    """BLEU-1 to BLEU-4; brevity is measured against the reference closest in length.

    An image's own value is BLEU of the corpus that consists of it alone, without smoothing.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Raises:
        ValueError: as many hypotheses as images are needed, and an image without references cannot be scored.
    """
    rows = [_row(sentences, hypothesis) for sentences, hypothesis in zip(references, hypotheses, strict=True)]
    names = tuple(f"BLEU-{n}" for n in range(1, ORDERS + 1))
    return Sums(names, np.array(rows, float).reshape(len(rows), 2 * ORDERS + 2), _formula)


def _row(references: Sequence[Tokens], hypothesis: Tokens) -> list[int]:
    """For each n the correct and then for each n all n-grams of the hypothesis; its length and its reference's."""
    length = len(hypothesis)
    counts = [count_grams(reference) for reference in references]
    correct = [0] * ORDERS
    for gram, count in count_grams(hypothesis).items():
        allowed = max(reference.get(gram, 0) for reference in counts)
        correct[len(gram) - 1] += min(count, allowed)
    guessed = [max(0, length - n) for n in range(ORDERS)]
    closest = min(map(len, references), key=lambda other: (abs(other - length), other))
    return [*correct, *guessed, length, closest]


def _formula(totals: Float64Array) -> Float64Array:
    correct, guessed = totals[..., :ORDERS], totals[..., ORDERS:-2]
    products = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=-1)
    ratio = (totals[..., -2:-1] + _TINY) / (totals[..., -1:] + _SMALL)
    brevity: Float64Array = np.exp(np.minimum(0, 1 - 1 / ratio))
    return products ** (1 / np.arange(1, ORDERS + 1)) * brevity
