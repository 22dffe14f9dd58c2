"""A heatmap over its picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from capcli.arrays import FloatArray, UInt8Array
from capcli.errors import UsageError
from capcli.heatmap.colour import colours

OPACITY = 0.75
"""How much of the strongest place is colour."""

WEAKEST = 0.4
"""The share of the opacity that the weakest places have: the picture darkened, so that yellow stands out on white."""


def overlay(picture: Image.Image, heat: FloatArray, opacity: float = OPACITY) -> Image.Image:
    """Lays a heatmap over a picture: weak places show the picture, darkened; strong ones more and more of the colour.

    A pixel with heat h has the level k = round(255 h) and the colour C = `colours()[k]`, which covers the picture's P
    by A = `alphas(opacity)[k]` parts of 255. Each channel, from 0 to 255 and gamma-encoded as stored, becomes
    round((C A + P (255 - A)) / 255).

    Args:
        picture: RGB.
        heat: float height x width from 0 to 1, of the picture's size.
        opacity: from 0, the picture as it is, to 1, the strongest place nothing but colour.

    Returns:
        A new RGB picture of the same size.

    Raises:
        UsageError: for an opacity out of range, or a map of another size than the picture.
    """
    alpha = alphas(opacity)
    if heat.shape != picture.size[::-1]:
        raise UsageError(f"a map of shape {heat.shape} does not fit a picture of size {picture.size}")
    levels = _levels(heat)
    mask = levels.point(alpha.tolist())
    # Pillow's tables and its composite work on bytes: a picture of many megapixels takes little memory and time.
    levels.putpalette(colours().tobytes())
    return Image.composite(levels.convert("RGB"), picture, mask)


def veil(heat: FloatArray, opacity: float = OPACITY) -> Image.Image:
    """What `overlay` lays over the picture, alone, for a program that has the picture already, such as a browser.

    Args:
        heat: float height x width from 0 to 1.
        opacity: as `overlay` takes it.

    Returns:
        A picture of the map's size whose 256 colours have their transparencies (Pillow's mode P), as PNG stores them.

    Raises:
        UsageError: for an opacity out of range.
    """
    levels = _levels(heat)
    levels.putpalette(colours().tobytes())
    levels.info["transparency"] = alphas(opacity).tobytes()
    return levels


def _levels(heat: FloatArray) -> Image.Image:
    return Image.fromarray(np.rint(255 * heat).astype(np.uint8))


def alphas(opacity: float = OPACITY) -> UInt8Array:
    """How much each of 256 levels of heat covers the picture: uint8 256, round(255 opacity (0.4 + 0.6 k / 255)).

    Raises:
        UsageError: for an opacity below 0 or above 1.
    """
    if not 0 <= opacity <= 1:
        raise UsageError(f"opacity is from 0 to 1, not {opacity:g}")
    share = WEAKEST + (1 - WEAKEST) * np.arange(256) / 255
    return np.rint(255 * opacity * share).astype(np.uint8)
