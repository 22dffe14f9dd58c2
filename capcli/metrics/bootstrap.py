"""The bootstrap over images: how far a score would be off if other images had been drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from capcli.arrays import Float64Array
from capcli.metrics.statistics import Resampled

# Weights held at a time; 16 MB of them.
_CHUNK = 2**21


def resample(statistics: Sequence[Resampled], images: int, samples: int, seed: int) -> dict[str, Float64Array]:
    """Every metric in resamples of the images, drawn with replacement (Efron and Tibshirani 1993, chapter 6).

    One seed draws the same images for whatever is measured on them, so that resamples of two systems are paired
    (Koehn 2004).

    Args:
        statistics: of the same N images; metrics that grow with the number of different images are out of place here,
            as about 37 % of the images are missing in a resample: see `capcli.metrics.jackknife`.
        images: N, at least 1.
        samples: number of resamples.
        seed: of the generator that draws them.

    Returns:
        For each metric a float64 array of shape (samples,).
    """
    values: dict[str, Float64Array] = {}
    chunks = [[part.scores(weights) for part in statistics] for weights in _weights(images, samples, seed)]
    for part, *resampled in zip(statistics, *chunks, strict=True):
        values |= dict(zip(part.names, np.concatenate(resampled).T, strict=True))
    return values


def full(statistics: Resampled, images: int) -> Float64Array:
    """The metrics of all images, each once: float64 array of shape (metrics,)."""
    scores: Float64Array = statistics.scores(np.ones((1, images)))[0]
    return scores


def interval(values: Float64Array) -> tuple[float, float]:
    """Where the middle 95 % of the resamples lie (Efron and Tibshirani 1993, section 13.3)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _weights(images: int, samples: int, seed: int) -> Iterator[Float64Array]:
    """How often each image occurs in some of the resamples: float64 arrays of shape (part of the samples, images)."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // images)
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        drawn = generator.integers(images, size=(count, images)) + images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images).astype(float)
