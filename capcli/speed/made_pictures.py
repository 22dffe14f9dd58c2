"""Pictures to measure on, for want of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_SIZE = (640, 480)


def made_pictures(count: int) -> list[Image.Image]:
    """Pictures of soft patches of colour, always the same: 640 x 480, RGB."""
    chance = np.random.default_rng(0)
    patches = [chance.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(count)]
    return [Image.fromarray(patch).resize(_SIZE, Image.Resampling.BICUBIC) for patch in patches]


def write_pictures(folder: Path, count: int) -> None:
    """Writes such pictures into a folder as JPEGs."""
    for number, picture in enumerate(made_pictures(count)):
        picture.save(folder / f"{number:04}.jpg", quality=90)
