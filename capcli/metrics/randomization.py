"""Paired approximate randomization: how often chance alone makes two systems differ as much as they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capcli.arrays import Float64Array
from capcli.metrics.statistics import Statistics

# Weights held at a time; 16 MB of them.
_CHUNK = 2**21

# Far below any difference that matters, and above what rounding makes of equal ones.
_ROUNDING = 1e-12


def shuffle(
    a: Sequence[Statistics], b: Sequence[Statistics], images: int, samples: int, seed: int
) -> dict[str, Float64Array]:
    """By how much b would be better than a, had a coin decided for every image which of its captions is whose.

    If the systems do not differ, every such exchange is as likely as what was observed (Noreen 1989, chapter 2; Riezler
    and Maxwell 2005). Unlike resamples it leaves every image in its place, so that metrics that grow with the
    number of different captions are compared fairly too.

    Args:
        a: statistics of the first system on N images.
        b: the same ones of the second system on the same images.
        images: N.
        samples: number of shuffles.
        seed: of the generator that throws the coins.

    Returns:
        For each metric a float64 array of shape (samples,).
    """
    both = [of_a.beside(of_b) for of_a, of_b in zip(a, b, strict=True)]
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // (2 * images))
    chunks = []
    for start in range(0, samples, rows):
        swapped = (generator.random((min(rows, samples - start), images)) < 0.5).astype(float)
        second = np.concatenate([swapped, 1 - swapped], axis=1)
        chunks.append([part.scores(second) - part.scores(1 - second) for part in both])
    differences: dict[str, Float64Array] = {}
    for part, *shuffled in zip(both, *chunks, strict=True):
        differences |= dict(zip(part.names, np.concatenate(shuffled).T, strict=True))
    return differences


def p_value(shuffled: Float64Array, difference: float) -> float:
    """Two-sided p-value of the hypothesis that there is no difference, above 0 and at most 1.

    It is (1 + #{s: |d_s| >= |d|}) / (1 + S) for the difference d and those of its S shuffles d_s (Noreen 1989; Riezler
    and Maxwell 2005). At most a share p of the comparisons of equal systems has one below p.

    Args:
        shuffled: differences of the shuffles, shape (S,).
        difference: of the systems themselves.
    """
    extreme = np.count_nonzero(np.abs(shuffled) >= abs(difference) - _ROUNDING)
    return (1 + int(extreme)) / (1 + len(shuffled))
