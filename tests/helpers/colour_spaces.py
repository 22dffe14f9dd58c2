"""Colour spaces as their specifications have them: ICC profiles of them, and what their samples look like in sRGB."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capcli.arrays import Float64Array

_SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
_D50 = (0.9642, 1.0, 0.8249)


@dataclass(frozen=True)
class Space:
    """An RGB colour space.

    Attributes:
        colorants: X, Y and Z of red, green and blue in the light of D50, as published profiles have them.
        gamma: light is a sample to this power.
    """

    colorants: Sequence[Sequence[float]]
    gamma: float

    @property
    def profile(self) -> bytes:
        """The ICC profile, of version 2."""
        tags = {name: _xyz(colour) for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), self.colorants, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(self.gamma))
        return _profile(b"RGB ", tags)

    def to_srgb(self, samples: Float64Array) -> Float64Array:
        """What samples from 0 to 1, ... x 3, are in sRGB, from 0 to 255."""
        light = samples**self.gamma @ np.asarray(self.colorants) @ np.linalg.inv(np.asarray(_SRGB))
        return 255 * encode(np.clip(light, 0, 1))


SPACES = {
    "adobe": Space(((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 2.2),
    "prophoto": Space(((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), 1.8),
    "wide gamut": Space(((0.71650, 0.25873, 0.0), (0.10101, 0.72466, 0.05121), (0.14671, 0.01660, 0.77369)), 2.2),
    "display p3": Space(((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), 2.2),
    "linear": Space(_SRGB, 1.0),
}


def encode(light: Float64Array) -> Float64Array:
    """SRGB samples from 0 to 1 of light from 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey samples whose light is a sample to the power `gamma`."""
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


INKS = {(255, 0, 0, 0): (40, 110, 160), (0, 255, 0, 0): (170, 40, 100), (0, 0, 255, 0): (230, 210, 50)}
"""Colours in sRGB of full cyan, magenta and yellow by `cmyk_profile`; they are much duller on screens without it."""


def cmyk_profile() -> bytes:
    """An ICC profile of a press with the inks of `INKS`, each a filter before the paper."""
    nodes = np.stack(np.meshgrid(*[np.array([0, 1])] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    filters = np.array([np.array(colour) / 255 for colour in INKS.values()] + [[0.05] * 3])
    lab = _lab(np.prod(np.where(nodes[:, :, None] == 1, filters, 1.0), axis=1))
    levels = np.rint(np.stack([lab[:, 0] * 2.55, lab[:, 1] + 128, lab[:, 2] + 128], axis=1)).astype(np.uint8)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (place % 4 == 0) for place in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + levels.tobytes() + ramp * 3
    return _profile(b"CMYK", {b"A2B0": table, b"A2B1": table}, kind=b"prtr", pcs=b"Lab ")


def _lab(srgb: Float64Array) -> Float64Array:
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = ((light @ np.asarray(_SRGB)) / _D50).T
    f = [np.where(value > 0.008856, np.cbrt(value), 7.787 * value + 16 / 116) for value in (x, y, z)]
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=1)


def _profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": description, b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": _xyz(_D50)} | tags
    begin, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, begin + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s28x", begin + len(content), 0x02100000, kind, space, pcs, b"acsp")
    return header + _xyz(_D50)[8:] + bytes(48) + table + content


def _xyz(colour: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in colour))


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(256 * gamma))
