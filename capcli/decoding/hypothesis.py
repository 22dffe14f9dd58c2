"""A decoded caption before it becomes words."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """One caption of one picture.

    Attributes:
        tokens: T word indices, without start and end.
        log_probabilities: of each word given those before it (T values, at most 0).
        attention: T x R weights over the regions, or None for a decoder without attention.
        end_log_probability: of the end after the last word; None if the caption was cut at its longest.
        score: length-normalised log-probability, end included.
    """

    tokens: list[int]
    log_probabilities: list[float]
    attention: Tensor | None
    end_log_probability: float | None
    score: float
