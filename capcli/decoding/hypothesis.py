"""A decoded caption before it becomes words."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.arrays import Float32Array


@dataclass(frozen=True)
class Hypothesis:
    """One caption of one picture.

    Attributes:
        tokens: T word indices, without start and end.
        log_probabilities: of each word given those before it (T values, at most 0), as the model has them.
        attention: T x R weights over the regions, or None for a decoder without attention.
        end_log_probability: of the end after the last word; None if the caption was cut.
        score: length-normalised log-probability, end included, and what others than the model added to it.
        sentinel: T shares of the visual sentinel, 0 to 1, or None for a decoder without one.
    """

    tokens: list[int]
    log_probabilities: list[float]
    attention: Float32Array | None
    end_log_probability: float | None
    score: float
    sentinel: Float32Array | None = None

    @classmethod
    def scored(
        cls,
        tokens: list[int],
        log_probabilities: list[float],
        attention: Float32Array | None,
        end: float | None,
        length_penalty: float,
        sentinel: Float32Array | None = None,
        bonus: float = 0.0,
    ) -> Hypothesis:
        """A hypothesis of score (sum(log p) + bonus) / steps ** length_penalty, its end, if any, counted as a step."""
        steps = log_probabilities if end is None else [*log_probabilities, end]
        score = (sum(steps) + bonus) / len(steps) ** length_penalty
        return cls(tokens, log_probabilities, attention, end, score, sentinel)


def best_first(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses by falling score."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)
