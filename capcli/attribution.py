"""What a word of a caption owes to each region of the picture, measured in three ways, and the covering of regions."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from capcli.decoding.forced import Forced
from capcli.errors import UsageError

METHODS = {
    "gradient": "attention weights times the gradient of the word's log-probability by them",
    "attention": "the decoder's attention weights, averaged over layers and heads",
    "occlusion": "how much the word's log-probability falls where the picture is covered; slow",
}
"""Every way to make maps, the default first: the most faithful of the fast ones, see `capcli attend --check`."""

DEFAULT_METHOD = next(iter(METHODS))

_WINDOW = 3


def check_method(method: str, *, attends: bool, model: str) -> None:
    """Raises UsageError for an unknown method, or one that asks a decoder without attention for its weights."""
    if method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, 1) or METHODS
        raise UsageError(f"no method is called {method!r}; near it: {', '.join(near)}")
    if method != "occlusion" and not attends:
        raise UsageError(
            f"the model {model} has no attention to show; take one that has, such as base, or the method occlusion"
        )


def relevance(caption: Forced, method: str) -> np.ndarray:
    """Maps by `attention` or `gradient`: float32 T x R, none below 0, each summing to 1.

    `gradient` keeps what speaks for the word, the positive part of each head, and adds up heads and layers (Chefer,
    Gur and Wolf 2021, section 3.1, whose mean differs by a factor). Where nothing does, it is the attention.
    """
    assert caption.attention is not None, "check_method sees to that"
    attention = caption.attention.mean((1, 2)).numpy()
    if method == "attention" or caption.relevance is None:
        return attention
    return shares(caption.relevance.clamp(min=0).sum((1, 2)).numpy(), attention)


def shares(maps: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Maps T x R, none below 0, made to sum to 1 each; those of zeros alone are taken from `otherwise`."""
    total = maps.sum(1, dtype=np.float64, keepdims=True)
    return np.where(total > 0, maps / np.where(total > 0, total, 1), otherwise).astype(np.float32)


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


def occlusion(fall: Callable[[np.ndarray], np.ndarray], grid: tuple[int, int]) -> np.ndarray:
    """How much each word loses where a window of 3 x 3 regions around each region in turn is covered (Zeiler and
    Fergus 2014, section 4.2): the mean over the windows that a region lies in.

    Args:
        fall: gives M x T falls of log-probability for M x R covered regions.
        grid: rows and columns of the regions.

    Returns:
        float32 T x R, in which what would gain stands as 0.
    """
    row, column = (axis.ravel() for axis in np.indices(grid))
    reach = _WINDOW // 2
    windows = (abs(row - row[:, None]) <= reach) & (abs(column - column[:, None]) <= reach)
    falls = windows.T @ fall(windows) / windows.sum(0)[:, None]
    return np.maximum(falls.T, 0).astype(np.float32)
