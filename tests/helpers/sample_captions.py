"""Captions made by hand, for what is drawn of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from capcli.arrays import Float32Array
from capcli.caption import Caption, Word


def peak(row: int, column: int, shape: tuple[int, int] = (7, 7)) -> Float32Array:
    """Weights on one cell alone."""
    weights = np.zeros(shape, np.float32)
    weights[row, column] = 1
    return weights


def word(text: str, probability: float | None = 0.5, weights: Float32Array | None = None, heads: bool = True) -> Word:
    """A word whose weights are in the centre unless told; without a probability one that the model does not know."""
    weights = peak(3, 3) if weights is None else weights
    log = -math.inf if probability is None else math.log(probability)
    head_weights = np.broadcast_to(weights, (3, 8, *weights.shape)) if heads else None
    return Word(text, log, weights, head_weights, known=probability is not None)


def caption(words: Sequence[str | Word], text: str | None = None) -> Caption:
    """A caption of these words, spelt with spaces between them unless told."""
    as_words = tuple(item if isinstance(item, Word) else word(item) for item in words)
    return Caption(" ".join(item.text for item in as_words) if text is None else text, as_words, 0.5)
