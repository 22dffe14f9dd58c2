"""Pictures in which some regions cannot be seen."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter


def cover(array: np.ndarray, covered: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Copies of a prepared picture in which some of its regions are blurred beyond recognition.

    Blurring, unlike a grey patch, brings neither edges nor colours that are not there (Fong and Vedaldi 2017,
    section 3.2); its standard deviation is the side of a region.

    Args:
        array: uint8 S x S x 3.
        covered: bool M x R, which regions each copy has covered.
        grid: rows and columns, R = rows * columns.

    Returns:
        uint8 M x S x S x 3.
    """
    side = array.shape[0]
    rows, columns = (np.arange(side) * count // side for count in grid)
    region = rows[:, None] * grid[1] + columns
    blurred = np.asarray(Image.fromarray(array).filter(ImageFilter.GaussianBlur(side / min(grid))))
    return np.where(covered[:, region][..., None], blurred, array)
