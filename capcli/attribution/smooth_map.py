"""Weights of a grid of regions, made a smooth map of a picture's size."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from capcli.arrays import Float32Array, Float64Array, FloatArray
from capcli.errors import UsageError


def heatmap(
    weights: FloatArray, size: tuple[int, int], box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> Float32Array:
    """Spreads weights smoothly over a picture.

    Over the grid lies a cubic B-spline whose coefficients are the weights, each at the centre of its cell, so that it
    never falls below 0 nor rises above the weights (Unser 1999, "Splines: a perfect fit for signal and image
    processing"). Beyond its ends the grid goes on as its mirror image. A pixel has the spline's mean over its own
    area, and the map is divided by its maximum.

    That is, to draw it elsewhere: along each axis, with n cells between the shares s and e of the picture's m pixels,
    pixel p reaches from a = (p / m - s) n / (e - s) - 1/2 to b = ((p + 1) / m - s) n / (e - s) - 1/2 where the centre
    of cell i is at i, and takes from cell i the share (F(b - i) - F(a - i)) / (b - a), in which F(t), with t limited
    to -2 to 2, is the integral of the cubic B-spline from minus infinity:

        F(t) = (max(t + 2, 0)^4 - 4 max(t + 1, 0)^4 + 6 max(t, 0)^4 - 4 max(t - 1, 0)^4) / 24

    i runs over all whole numbers within 2 of some pixel, and -1 stands for cell 0, -2 for 1, n for n - 1, n + 1 for
    n - 2 and so on; with a single cell all stand for it. The shares of a pixel add up to 1. With the shares of all
    pixels as matrices Y (height x rows) and X (width x columns) the map is Y weights X^T, divided by its largest
    value.

    Args:
        weights: rows x columns, finite and not below 0, of any sum.
        size: width and height of the map in pixels, as `PIL.Image.Image.size` has them.
        box: left, top, right and bottom of the grid as shares of the picture, as `Word.box` has them.

    Returns:
        float32 height x width from 0 to 1, which the strongest pixel has. Equal weights give 1 everywhere, weights of
        0 alone 0 everywhere.

    Raises:
        UsageError: for a size that is not two whole numbers from 1 on, or weights that are not such a grid.
    """
    whole = isinstance(size, tuple) and len(size) == 2 and all(isinstance(side, Integral) for side in size)
    if not whole or min(size) < 1:
        raise UsageError(f"the size of a heatmap is its width and height in whole pixels from 1 on, not {size!r}")
    width, height = size
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or not weights.size:
        raise UsageError(f"weights are rows x columns, not of shape {weights.shape}")
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise UsageError("weights are finite and not below 0")
    largest = weights.max()
    if largest == 0:
        return np.zeros((height, width), np.float32)
    rows, columns = weights.shape
    # Scaled first, because float32 would lose weights near its own limits.
    across = (_shares(rows, height, box[1], box[3]) @ (weights / largest)).astype(np.float32)
    heat: Float32Array = across @ _shares(columns, width, box[0], box[2]).T.astype(np.float32)
    heat /= heat.max()
    return heat


def _shares(cells: int, pixels: int, start: float, end: float) -> Float64Array:
    """What each pixel of an axis takes from each cell: float64 pixels x cells, rows summing to 1."""
    edges = (np.arange(pixels + 1) / pixels - start) * (cells / (end - start)) - 0.5
    # With all that the spline reaches over, two cells to both sides.
    places = np.arange(np.floor(edges[0]) - 2, np.ceil(edges[-1]) + 3).astype(int)
    shares = np.maximum(np.diff(_integral(edges[:, None] - places), axis=0), 0) / np.diff(edges)[:, None]
    mirrored = places % (2 * cells)
    folded = np.minimum(mirrored, 2 * cells - 1 - mirrored)
    return np.stack([shares[:, folded == cell].sum(1) for cell in range(cells)], 1)


def _integral(t: Float64Array) -> Float64Array:
    """The integral of the cubic B-spline from minus infinity to t."""
    t = np.clip(t, -2, 2)
    first, second, third, fourth = (np.maximum(t + shift, 0) ** 4 for shift in (2, 1, 0, -1))
    integral: Float64Array = (first - 4 * second + 6 * third - 4 * fourth) / 24
    return integral
