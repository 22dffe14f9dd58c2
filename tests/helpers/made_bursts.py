"""Pictures that look as if a camera had taken them shortly one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image


def shoot(place: Path, scene: int, second: float | None, brighter: int = 0) -> None:
    """Takes a picture of a scene; those of one scene look alike, and none has the pixels of another."""
    noise = np.random.default_rng(scene).integers(0, 200, (6, 6, 3), np.uint8)
    picture = Image.fromarray(noise + np.uint8(brighter)).resize((96, 64), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    if second is not None:
        taken = f"2019:07:04 12:{30 + second // 60:02.0f}:{second % 60:02.0f}"
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: taken}
    picture.save(place, exif=exif)
