"""Captions of a picture put in another order by what something else thinks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from capcli.decoding.hypothesis import Hypothesis, best_first


def rerank(hypotheses: Sequence[Hypothesis], bonus: Sequence[float], weight: float) -> list[Hypothesis]:
    """The hypotheses best first, `weight` times its bonus added to the score of each; log-probabilities stay."""
    return best_first(
        [replace(one, score=one.score + weight * more) for one, more in zip(hypotheses, bonus, strict=True)]
    )
