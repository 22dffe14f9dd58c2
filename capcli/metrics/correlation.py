"""How a metric's values of captions go along with what people said of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from capcli.arrays import Float64Array, IntArray

NAMES = ("tau-b", "tau-c", "Spearman", "Pearson")


class Correlation:
    """Kendall's tau-b (1945), Stuart's tau-c (1953), Spearman's and Pearson's correlation, each from -1 to 1.

    Papers on metrics report tau-b and tau-c, as ratings have few levels and so many ties. Of T pairs of captions let P
    be concordant, Q discordant, X tied in one and Y in the other: tau-b is (P - Q) / sqrt((T - X)(T - Y)). For n
    captions and m levels of whichever has fewer, tau-c is 2 m (P - Q) / (n^2 (m - 1)).

    Args:
        x: a metric's values of M captions.
        y: people's of the same captions. It takes memory and time in proportion to M times the levels that it has.
        pictures: of which of N pictures each caption is. Resamples draw pictures, with all captions of each.

    Raises:
        ValueError: they are not of one length.
    """

    names = NAMES

    def __init__(self, x: Float64Array, y: Float64Array, pictures: IntArray) -> None:
        if not len(x) == len(y) == len(pictures):
            raise ValueError("as many values of the metric as of people, and as many pictures")
        # Values that differ by rounding alone are equal.
        self._x, self._of_x = np.unique(np.round(x, 12), return_inverse=True)
        self._y, self._of_y = np.unique(np.round(y, 12), return_inverse=True)
        self._pictures = pictures

    def scores(self, weights: Float64Array) -> Float64Array:
        """The four correlations for S weightings of the pictures; NaN where x or y does not vary.

        Args:
            weights: whole numbers, shape (S, N).

        Returns:
            float64 array of shape (S, 4), in the order of NAMES.
        """
        return np.array([list(self._correlate(row[self._pictures])) for row in weights]).reshape(-1, len(NAMES))

    def _correlate(self, weights: Float64Array) -> Iterator[float]:
        shape = len(self._x), len(self._y)
        cells = self._of_x * shape[1] + self._of_y
        counts: Float64Array = np.bincount(cells, weights, shape[0] * shape[1]).astype(float)
        table = counts.reshape(shape)
        of_x: Float64Array = table.sum(1)
        of_y: Float64Array = table.sum(0)
        total = float(of_x.sum())
        before = table.cumsum(0) - table
        lower = before.cumsum(1)
        # Pairs in the same order, less those in opposite orders.
        surplus = float((table * (2 * lower - before - lower[:, -1:])).sum())
        pairs = total * (total - 1) / 2
        tied_x, tied_y = (float((each * (each - 1)).sum()) / 2 for each in (of_x, of_y))
        levels = int(min(np.count_nonzero(of_x), np.count_nonzero(of_y)))
        yield _share(surplus, ((pairs - tied_x) * (pairs - tied_y)) ** 0.5)
        yield _share(2 * surplus * levels, total**2 * (levels - 1))
        yield _pearson(table, _ranks(of_x), _ranks(of_y))
        yield _pearson(table, self._x, self._y)


def _ranks(counts: Float64Array) -> Float64Array:
    """The mean rank of each level, from how often each occurs."""
    ranks: Float64Array = counts.cumsum() - (counts - 1) / 2
    return ranks


def _pearson(table: Float64Array, x: Float64Array, y: Float64Array) -> float:
    of_x, of_y, total = table.sum(1), table.sum(0), table.sum()
    x, y = x - (of_x @ x) / total, y - (of_y @ y) / total
    return _share(float(x @ table @ y), float((of_x @ x**2) * (of_y @ y**2)) ** 0.5)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 1e-12 * abs(part) else float("nan")
