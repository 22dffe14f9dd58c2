"""Shallow fusion: a search led by a captioner and a language model together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from capcli.arrays import Float32Array, IntArray
from capcli.words.vocabulary import END

if TYPE_CHECKING:
    from capcli.decoding.language import LanguageModel


class Fusion:
    """The language model's part in one beam search: a word is ranked by log p + weight * log p_LM (Gulcehre et al.
    2015, section 4.1, eq. 4).

    Args:
        language: the language model, in the captioner's words.
        weight: of its log-probabilities, above 0.
        captions: how many there are before the first word.
    """

    def __init__(self, language: LanguageModel, weight: float, captions: int) -> None:
        self._language, self._weight = language, weight
        self._state = language.start(captions)
        self._earned = np.zeros(captions, np.float32)
        self._now: Float32Array

    def step(self, tokens: IntArray, ranked: Float32Array) -> Float32Array:
        """Feeds the last words, N, and adds to what ranks the next words so far, N x V."""
        said, self._state = self._language.step(tokens, self._state)
        self._now = np.float32(self._weight) * said
        with_own: Float32Array = ranked + self._now
        return with_own

    def reorder(self, index: IntArray, tokens: IntArray) -> None:
        """Row i goes on from row `index[i]` with the word `tokens[i]`."""
        self._earned = self._earned[index] + self._now[index, tokens]
        self._state = self._language.reorder(self._state, index)

    def bonus(self, row: int, *, ended: bool) -> float:
        """What the language model added up for the words of a row, and for its end in the last step."""
        return float(self._earned[row] + (self._now[row, END] if ended else 0.0))
