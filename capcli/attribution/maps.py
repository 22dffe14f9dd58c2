"""From weights, gradients and covered pictures to one map for each word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from capcli.arrays import BoolArray, Float32Array
from capcli.decoding.forced import Forced

_WINDOW = 3


def relevance(caption: Forced, method: str) -> Float32Array:
    """Maps by `attention` or `gradient`: float32 T x R, none below 0, each summing to 1.

    `gradient` keeps what speaks for the word, the positive part of each head, and adds up heads and layers (Chefer,
    Gur and Wolf 2021, section 3.1, whose mean differs by a factor). Where nothing does, it is the attention.
    """
    assert caption.attention is not None, "check_method sees to that"
    attention: Float32Array = caption.attention.mean((1, 2))
    if method == "attention" or caption.relevance is None:
        return attention
    return shares(np.maximum(caption.relevance, 0).sum((1, 2)), attention)


def shares(maps: Float32Array, otherwise: Float32Array) -> Float32Array:
    """Maps T x R, none below 0, made to sum to 1 each; those of zeros alone are taken from `otherwise`."""
    total = maps.sum(1, dtype=np.float64, keepdims=True)
    return np.where(total > 0, maps / np.where(total > 0, total, 1), otherwise).astype(np.float32)


def occlusion(fall: Callable[[BoolArray], Float32Array], grid: tuple[int, int]) -> Float32Array:
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
    lost: Float32Array = np.maximum(falls.T, 0).astype(np.float32)
    return lost
