"""A small photograph-like picture to store in all kinds of ways, and how far another is from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from capcli.arrays import UInt8Array
from capcli.pictures.read import read_picture

WIDTH, HEIGHT = 96, 72


def photograph() -> UInt8Array:
    """Smooth light with shadows and colours, a red corner and a fine pattern, uint8 72 x 96 x 3."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH])[:, None, None]
    light = 0.04 + 0.9 * (0.5 + 0.5 * np.sin(5 * x + 2 * y)) * (1 - 0.8 * y)
    tint = np.stack([0.5 + 0.5 * np.cos(6 * y), 0.4 + 0.5 * x, 0.3 + 0.6 * np.sin(3 * x) ** 2], axis=-1)
    pixels = light[..., None] * tint
    pixels[:12, :20] = (0.85, 0.1, 0.1)
    pixels[50:, 70:] *= 0.6 + 0.4 * ((np.arange(22)[:, None] + np.arange(26)) % 2)[..., None]
    shown: UInt8Array = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    return shown


def grey(pixels: UInt8Array) -> UInt8Array:
    """The lightness of RGB pixels, uint8 H x W."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def distance(actual: object, expected: object) -> float:
    """The mean difference of two pictures in levels of 255; grey ones count as RGB. A number for each is an array."""
    arrays = [np.asarray(picture, float) for picture in (actual, expected)]
    first, second = (np.stack([array] * 3, axis=-1) if array.ndim == 2 else array for array in arrays)
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def read_pixels(path: Path) -> UInt8Array:
    """The pixels that capcli reads, uint8 H x W x 3."""
    return np.asarray(read_picture(path))
