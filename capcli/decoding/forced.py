"""A given caption under a decoder: how likely it is, and where the decoder looked."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.arrays import Float32Array


@dataclass(frozen=True)
class Forced:
    """A given caption of T words under a decoder.

    Attributes:
        log_probabilities: T + 1 natural logarithms, of each word given those before it and of the end.
        attention: T x layers x heads x R weights over the regions, None for a decoder without attention.
        relevance: the same shape, each weight times the gradient of its word's log-probability by it (Chefer, Gur
            and Wolf 2021, equation 5, before the mean over heads); None where it was not asked for.
        sentinel: T shares of the visual sentinel, None for a decoder without one.
    """

    log_probabilities: Float32Array
    attention: Float32Array | None
    relevance: Float32Array | None
    sentinel: Float32Array | None = None
