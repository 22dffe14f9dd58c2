"""What the whole picture lets one expect, as a voice in a search beside the decoder's."""

from __future__ import annotations

import numpy as np

from capcli.arrays import Float32Array, IntArray


class Expectation:
    """The expected words' part in one beam search: a word is ranked by log p + weight * expected.

    A caption earns by a word once, as it then is mentioned (Fang et al. 2015, "From captions to visual concepts and
    back", sections 3 and 4). To say it again costs as much, and a word that the picture speaks against costs each time.

    Args:
        expected: float32 B x V, how likely each word is in captions of each picture: the logarithm of its probability
            over one that is to make no difference; 0 for a word of which nothing is known.
        weight: of it, above 0.
    """

    def __init__(self, expected: Float32Array, weight: float) -> None:
        self._now = np.float32(weight) * expected
        self._earned = np.zeros(len(expected), np.float32)

    def step(self, tokens: IntArray, ranked: Float32Array) -> Float32Array:
        """Adds to what ranks the next words so far, N x V; of the last words, N, it knows already."""
        with_expected: Float32Array = ranked + self._now
        return with_expected

    def reorder(self, index: IntArray, tokens: IntArray) -> None:
        """Row i goes on from row `index[i]` with the word `tokens[i]`."""
        self._earned = self._earned[index] + self._now[index, tokens]
        self._now = self._now[index]
        rows = np.arange(len(tokens))
        self._now[rows, tokens] = -np.abs(self._now[rows, tokens])

    def bonus(self, row: int, *, ended: bool) -> float:
        """What the words of a row added up to; an end is no word."""
        return float(self._earned[row])
