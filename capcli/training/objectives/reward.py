"""What a sampled caption earns by the references of its picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.metrics.cider import CiderD
from capcli.words.vocabulary import END


class CiderReward:
    """CIDEr-D of word indices, the end counting as a word, so that a sentence broken off is not free.

    Args:
        references: of each training picture its captions' words, without start and end.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]]) -> None:
        self._cider = CiderD([[[*caption, END] for caption in captions] for captions in references])

    def __call__(self, pictures: Sequence[int], words: Sequence[Sequence[int]]) -> Tensor:
        """B x K scores, 0 to 10, of B * K captions, ends included, the K of a picture beside each other."""
        count = len(words) // len(pictures)
        owners = [picture for picture in pictures for _ in range(count)]
        return torch.from_numpy(self._cider.rewards(owners, words)).float().view(-1, count)
