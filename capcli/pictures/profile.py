"""ICC profiles of colour spaces that a file describes in other words: by primaries and a curve, or by code points."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from capcli.arrays import Float64Array

SRGB = ((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""White point, red, green and blue of sRGB as CIE x and y."""

_D65 = SRGB[0]
_UNSPECIFIED = 2
_PRIMARIES = {
    1: SRGB,
    _UNSPECIFIED: SRGB,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
"""By the code points of ITU-T H.273."""

_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_PQ, _HLG = 16, 18
_CURVES_OF_SRGB = (1, _UNSPECIFIED, 6, 13, 14, 15)
"""Those of video are shown with sRGB's curve, as browsers do."""

_SDR_WHITE = 203.0
"""Candelas per square metre of white in a picture of high dynamic range (ITU-R BT.2408)."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Chromaticities = Sequence[Sequence[float]]


def rgb_profile(chromaticities: Chromaticities, gamma: float | None) -> bytes | None:
    """An ICC profile of an RGB colour space; None where no colour space has such numbers.

    Args:
        chromaticities: white point, red, green and blue as CIE x and y.
        gamma: light is a sample to this power; None for sRGB's curve.
    """
    return _profile(chromaticities, _srgb_curve() if gamma is None else _gamma_curve(gamma))


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """An ICC profile of a colour space by its code points in ITU-T H.273, as PNG, AVIF and HEIC hold them.

    White in a picture of high dynamic range (PQ, HLG) is at 203 candelas per square metre; what is brighter is white.

    Returns:
        None for sRGB, which unspecified ones stand for too, and for code points that are unknown.
    """
    if transfer in (_PQ, _HLG):
        curve = _table_curve(_pq() if transfer == _PQ else _hlg())
    elif transfer in _GAMMAS:
        curve = _gamma_curve(_GAMMAS[transfer])
    elif transfer in _CURVES_OF_SRGB and _PRIMARIES.get(primaries) != SRGB:
        curve = _srgb_curve()
    else:
        return None
    return _profile(_PRIMARIES[primaries], curve) if primaries in _PRIMARIES else None


def _profile(chromaticities: Chromaticities, curve: bytes) -> bytes | None:
    try:
        columns = _colorants(np.asarray(chromaticities, float))
    except np.linalg.LinAlgError:  # primaries on one line
        return None
    if not np.isfinite(columns).all() or np.abs(columns).max() > 100:
        return None
    tags = {
        b"desc": _text("capcli"),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz(_D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    begin = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, begin + len(content), len(tag))
        content += tag
    length, version, white = begin + len(content), 0x04300000, _xyz(_D50)[8:]
    kind = (b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header = struct.pack(">I4xI4s4s4s12x4s28x12s48x", length, version, *kind, white)
    return header + table + content


def _colorants(chromaticities: Float64Array) -> Float64Array:
    """The primaries as columns of X, Y and Z, seen in the light of D50."""
    xyz = np.stack([[x / y if y else np.inf, 1.0, (1 - x - y) / y if y else np.inf] for x, y in chromaticities], axis=1)
    if not np.isfinite(xyz).all():
        raise np.linalg.LinAlgError
    white, primaries = xyz[:, 0], xyz[:, 1:]
    scaled = primaries * np.linalg.solve(primaries, white)
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    colorants: Float64Array = np.linalg.inv(_BRADFORD) @ (cones[:, None] * (_BRADFORD @ scaled))
    return colorants


def _pq() -> Float64Array:
    sample = np.linspace(0, 1, 4096) ** (32 / 2523)
    light: Float64Array = np.maximum(sample - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * sample)
    return 10_000 / _SDR_WHITE * light ** (8192 / 1305)


def _hlg() -> Float64Array:
    sample = np.linspace(0, 1, 4096)
    scene = np.where(sample <= 0.5, sample**2 / 3, (np.exp((sample - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1_000 / _SDR_WHITE * scene**1.2


def _table_curve(light: Float64Array) -> bytes:
    values = np.rint(np.clip(light, 0, 1) * 65535).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(values)) + values.tobytes()


def _gamma_curve(gamma: float) -> bytes:
    return struct.pack(">4s4xHxxi", b"para", 0, _fixed(gamma))


def _srgb_curve() -> bytes:
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return struct.pack(">4s4xHxx5i", b"para", 3, *map(_fixed, numbers))


def _xyz(values: Float64Array) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *map(_fixed, values))


def _fixed(number: float) -> int:
    return round(float(np.clip(number, -32000, 32000)) * 65536)


def _text(words: str) -> bytes:
    content = words.encode("utf-16-be")
    padded = content + bytes(-len(content) % 4)
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(content), 28) + padded
