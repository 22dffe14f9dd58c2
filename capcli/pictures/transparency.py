"""Transparent pictures: put on white."""

from __future__ import annotations

import numpy as np
from PIL import Image

from capcli.pictures.colour import profile_of, to_srgb
from capcli.pictures.samples import range_of, to_rgb

_DEEP = ("I", "F")


def on_white(image: Image.Image) -> Image.Image:
    """Make a decoded picture of any mode RGB in sRGB, with white where it is transparent.

    An RGB picture in sRGB without transparency comes back as it is.
    """
    if image.mode.startswith(_DEEP):
        return _deep_on_white(image)
    if not image.has_transparency_data:
        return to_srgb(image)
    grey = image.mode in ("1", "L", "LA", "La")
    with_alpha = image.convert("LA") if image.mode in ("1", "L", "La") else image if grey else image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(to_srgb(with_alpha.convert("L" if grey else "RGB")), mask=with_alpha.getchannel("A"))
    return white


def _deep_on_white(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)
    # A 32-bit mode holds 16-bit samples in all formats but TIFF, which is read otherwise.
    black, white = range_of(samples) if image.mode == "F" else (0, 65535)
    rgb = to_rgb(samples, black, white, profile_of(image))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        rgb.paste("white", mask=Image.fromarray(samples == transparent))
    return rgb
