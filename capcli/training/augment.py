"""Random but repeatable changes of training pictures."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageEnhance

from capcli.arrays import UInt8Array
from capcli.pictures.read import to_array


def augment(image: Image.Image, size: int, crop: float, jitter: float, source: random.Random) -> UInt8Array:
    """Crops, mirrors and re-lights an RGB picture.

    Args:
        image: upright RGB picture.
        size: side of the result in pixels.
        crop: least share of the area to keep; the sides' ratio changes by up to 4/3 as well, as the area allows.
        jitter: greatest relative change of brightness, contrast and saturation, each drawn alone.
        source: where all chance comes from; the same state gives the same picture.

    Returns:
        uint8 array size x size x 3.
    """
    if crop < 1:
        image = image.crop(_crop_box(image.size, crop, source))
    if source.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if jitter > 0:
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhancer(image).enhance(source.uniform(1 - jitter, 1 + jitter))
    return to_array(image, size)


def _crop_box(size: tuple[int, int], crop: float, source: random.Random) -> tuple[int, int, int, int]:
    width, height = size
    area = source.uniform(crop, 1.0)
    # A side longer than the picture's would be cut off, and with it a part of the area.
    ratio = math.exp(source.uniform(-1, 1) * min(math.log(4 / 3), -math.log(area)) / 2)
    wide = min(width, max(1, round(width * math.sqrt(area) * ratio)))
    high = min(height, max(1, round(height * math.sqrt(area) / ratio)))
    left, top = source.randint(0, width - wide), source.randint(0, height - high)
    return left, top, left + wide, top + high
