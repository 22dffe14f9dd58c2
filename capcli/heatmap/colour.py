"""The colours of heatmaps, from weak to strong."""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np

from capcli.arrays import Float64Array, UInt8Array

# Lightness, chroma and hue (degrees) in CIELAB: from blue-black over violet and red to yellow. Inside sRGB, and chosen
# among such paths for steps that stay even to people with each kind of dichromacy (tests/heatmap/test_colour.py).
_PATH = ((9, 36, 305), (33, 81, 330), (47, 107, 354), (86, 61, 91), (94, 70, 101))

# IEC 61966-2-1: from CIE XYZ relative to its white point, D65, to linear sRGB.
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_SRGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


@cache
def colours() -> UInt8Array:
    """The colour of each of 256 strengths: uint8 256 x 3, sRGB, read-only; heat h in [0, 1] has row round(255 h).

    A Bezier curve in CIELAB, divided into steps of equal length, so that equal differences of strength look equally
    large (Kovesi 2015, "Good colour maps: how to design them"). Lightness rises all the way, from 9 to 94,
    so the order can be seen without any colour, too.
    """
    parameter = np.linspace(0, 1, 4096, dtype=np.float64)
    curve = _bezier(parameter)
    length = np.concatenate([[0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    even = _bezier(np.interp(np.linspace(0, length[-1], 256), length, parameter))
    found: UInt8Array = np.rint(255 * _srgb(even)).astype(np.uint8)
    found.flags.writeable = False
    return found


def _bezier(parameter: Float64Array) -> Float64Array:
    """Points of the path, float64 N x 3: L*, a* and b*."""
    lightness, chroma, hue = np.array(_PATH, float).T
    points = np.stack([lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))], 1)
    degree = len(points) - 1
    bernstein = [comb(degree, i) * parameter**i * (1 - parameter) ** (degree - i) for i in range(degree + 1)]
    curve: Float64Array = np.stack(bernstein, 1) @ points
    return curve


def _srgb(lab: Float64Array) -> Float64Array:
    """Colours N x 3 of CIELAB under D65, in sRGB from 0 to 1."""
    lightness, a, b = lab.T
    y = (lightness + 16) / 116
    roots = np.stack([y + a / 500, y, y - b / 200], 1)
    xyz = _WHITE * np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(xyz @ _TO_SRGB.T, 0, 1)
    encoded: Float64Array = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded
