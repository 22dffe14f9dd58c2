"""Agreement of raters: Krippendorff's alpha, by the package `krippendorff`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

MISSING = 'the package krippendorff is not installed: pip install "capcli[ratings]"'

Level = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True)
class Agreement:
    """How far raters agree.

    Attributes:
        alpha: 1 where they always do, 0 where they do as often as by chance, below 0 where less often; None where it
            is not defined.
        units: what two raters or more judged.
        raters: who judged any of those.
        why: why it is not defined; one clause without a final stop.
    """

    alpha: float | None
    units: int
    raters: int
    why: str | None = None


def krippendorff_alpha(
    judgements: Iterable[tuple[Hashable, Hashable, int]], domain: Sequence[int], level: Level
) -> Agreement:
    """Krippendorff's alpha (2011): any number of raters, of whom each may have judged any part of the units.

    Args:
        judgements: rater, unit and value; a rater's last value of a unit counts.
        domain: the values that there are, in their order.
        level: of measurement.

    Raises:
        ValueError: a value is not in the domain.
    """
    units: defaultdict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for rater, unit, value in judgements:
        units[unit][rater] = domain.index(value)
    shared = [values for values in units.values() if len(values) > 1]
    raters = len({rater for values in shared for rater in values})
    if not shared:
        return Agreement(None, 0, 0, "not defined: nothing was judged by two raters")
    counts = np.array([[Counter(values.values())[place] for place in range(len(domain))] for values in shared])
    if np.count_nonzero(counts.sum(0)) == 1:
        return Agreement(None, len(shared), raters, "not defined: every judgement is the same")
    try:
        from krippendorff import alpha
    except ModuleNotFoundError:
        return Agreement(None, len(shared), raters, MISSING)
    found = alpha(value_counts=counts, value_domain=list(domain), level_of_measurement=level)
    return Agreement(float(found), len(shared), raters)
