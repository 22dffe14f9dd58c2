"""Captions of a picture put in another order by what something else thinks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from capcli.model.matcher import Matcher


def rerank(hypotheses: Sequence[Hypothesis], bonus: Sequence[float], weight: float) -> list[Hypothesis]:
    """The hypotheses best first, `weight` times its bonus added to the score of each; log-probabilities stay.

    Those that were cut stay behind those that end.
    """
    scored = best_first(
        [
            replace(hypothesis, score=hypothesis.score + weight * more)
            for hypothesis, more in zip(hypotheses, bonus, strict=True)
        ]
    )
    return sorted(scored, key=lambda hypothesis: hypothesis.end_log_probability is None)


def similarities(matcher: Matcher, regions: Tensor, found: Sequence[Sequence[Hypothesis]]) -> list[list[float]]:
    """Of each picture's hypotheses the cosine similarity to the picture, -1 to 1, given B x R x D regions."""
    vectors = matcher.embed([hypothesis.tokens for hypotheses in found for hypothesis in hypotheses])
    shares = vectors.split([len(hypotheses) for hypotheses in found])
    # In float32 whatever the decoder computes in: what is compared differs little.
    pictures = matcher.pictures(regions.float())
    return [(share @ picture).tolist() for share, picture in zip(shares, pictures, strict=True)]


def check_rerank(options: DecodingOptions, *, matches: bool) -> None:
    """Raises UsageError for options that re-rank by a matcher that the model does not have."""
    if options.rerank and not matches:
        raise UsageError(
            "rerank needs a model with a matcher: `capcli train matching --from MODEL --data DATA` gives it one"
        )
