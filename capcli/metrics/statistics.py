"""What metrics need to know of each image, from which their value for any resample of the images follows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from capcli.arrays import Float64Array

Tokens = Sequence[Hashable]

_Same = TypeVar("_Same", bound="Statistics")


class Resampled(Protocol):
    """One or several figures of N images that also exist for a resample of them.

    Attributes:
        names: of the figures.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    def scores(self, weights: Float64Array) -> Float64Array:
        """The figures of S corpora in which each image occurs a number of times.

        Args:
            weights: float array of shape (S, N), how often each image occurs; ones stand for the corpus itself.

        Returns:
            float64 array of shape (S, figures).
        """


class Statistics(Resampled, Protocol):
    """One or several metrics of a corpus that is scored: N images, each with references and one hypothesis.

    Attributes:
        grows: whether the values depend on how many different images there are, so that a resample, in which
            images recur, has systematically other values than the images themselves.
    """

    @property
    def grows(self) -> bool: ...

    def per_image(self) -> dict[str, Float64Array]:
        """For each metric that an image alone has a value of: float64 array of shape (N,)."""

    def without_each(self) -> Float64Array:
        """The metrics without each of the images in turn, of which there are two at least.

        Returns:
            float64 array of shape (N, metrics).
        """

    def beside(self: _Same, other: _Same) -> _Same:
        """Of a corpus of 2N images: these, and then those of another corpus, measured in the same way."""


@dataclass(frozen=True)
class Sums:
    """Metrics that are a function of sums over the images, as those of a whole corpus are.

    Attributes:
        names: of the metrics.
        statistics: float64 array of shape (N, k), what is summed.
        formula: from sums of shape (..., k) to values of shape (..., metrics).
    """

    names: tuple[str, ...]
    statistics: Float64Array
    formula: Callable[[Float64Array], Float64Array]
    grows = False

    def scores(self, weights: Float64Array) -> Float64Array:
        return self.formula(weights @ self.statistics)

    def per_image(self) -> dict[str, Float64Array]:
        return dict(zip(self.names, self.formula(self.statistics).T, strict=True))

    def without_each(self) -> Float64Array:
        return self.formula(self.statistics.sum(0) - self.statistics)

    def beside(self, other: Sums) -> Sums:
        return replace(self, statistics=np.concatenate([self.statistics, other.statistics]))


@dataclass(frozen=True)
class Means:
    """Metrics that are means over the images.

    Attributes:
        names: of the metrics.
        values: float64 array of shape (N, metrics).
    """

    names: tuple[str, ...]
    values: Float64Array
    grows = False

    def scores(self, weights: Float64Array) -> Float64Array:
        counts: Float64Array = weights.sum(-1, keepdims=True)
        return weights @ self.values / counts

    def per_image(self) -> dict[str, Float64Array]:
        return dict(zip(self.names, self.values.T, strict=True))

    def without_each(self) -> Float64Array:
        totals: Float64Array = self.values.sum(0)
        return (totals - self.values) / (len(self.values) - 1)

    def beside(self, other: Means) -> Means:
        return replace(self, values=np.concatenate([self.values, other.values]))


class Average:
    """The same metrics of several corpora over the same images, averaged.

    Args:
        corpora: statistics of equal names, at least one.
    """

    def __init__(self, corpora: Sequence[Statistics]) -> None:
        self._corpora = corpora

    @property
    def names(self) -> tuple[str, ...]:
        return self._corpora[0].names

    @property
    def grows(self) -> bool:
        return self._corpora[0].grows

    def scores(self, weights: Float64Array) -> Float64Array:
        return _mean([corpus.scores(weights) for corpus in self._corpora])

    def per_image(self) -> dict[str, Float64Array]:
        values = [corpus.per_image() for corpus in self._corpora]
        return {name: _mean([value[name] for value in values]) for name in values[0]}

    def without_each(self) -> Float64Array:
        return _mean([corpus.without_each() for corpus in self._corpora])

    def beside(self, other: Average) -> Average:
        pairs = zip(self._corpora, other._corpora, strict=True)
        return Average([corpus.beside(another) for corpus, another in pairs])


def _mean(values: Sequence[Float64Array]) -> Float64Array:
    mean: Float64Array = np.mean(values, axis=0)
    return mean
