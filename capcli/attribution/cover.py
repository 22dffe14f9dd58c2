"""Pictures in which some regions cannot be seen."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from capcli.arrays import BoolArray, UInt8Array


def cover(
    array: UInt8Array,
    covered: BoolArray,
    grid: tuple[int, int],
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> UInt8Array:
    """Copies of a prepared picture in which some of its regions are blurred beyond recognition.

    Blurring, unlike a grey patch, brings neither edges nor colours that are not there (Fong and Vedaldi 2017); its
    standard deviation is the side of a region. A pixel belongs to the region whose centre is nearest.

    Args:
        array: uint8 H x W x 3.
        covered: bool M x R, which regions each copy has covered.
        grid: rows and columns, R = rows * columns.
        box: of the grid in the picture, as `Encoder.box` has it.

    Returns:
        uint8 M x H x W x 3.
    """
    rows, columns = (
        np.clip(np.floor(((np.arange(side) + 0.5) / side - start) / (end - start) * count), 0, count - 1).astype(int)
        for side, count, start, end in zip(array.shape[:2], grid, (box[1], box[0]), (box[3], box[2]), strict=True)
    )
    region = rows[:, None] * grid[1] + columns
    blurred = np.asarray(Image.fromarray(array).filter(ImageFilter.GaussianBlur(max(array.shape[:2]) / min(grid))))
    return np.where(covered[:, region][..., None], blurred, array)
