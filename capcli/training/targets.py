"""Captions as tensors of word indices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.words.vocabulary import END, PAD, START


def target(caption: Sequence[int], longest: int) -> list[int]:
    """What is learnt of a caption: its words and the end, or the `longest` first words of a longer one."""
    # A caption that is cut has no end here, or the model would learn to stop in mid-sentence.
    return [*caption, END] if len(caption) <= longest else list(caption[:longest])


def pad(captions: Sequence[Sequence[int]]) -> Tensor:
    """N x T indices, shorter rows filled with `<pad>`; 0 x 0 where there are none."""
    longest = max(map(len, captions), default=0)
    rows = [[*caption, *[PAD] * (longest - len(caption))] for caption in captions]
    return torch.tensor(rows, dtype=torch.long).view(len(captions), longest)


def shift(targets: Tensor) -> Tensor:
    """Decoder inputs for N x T targets: `<start>` in front, the last word left off."""
    start = torch.full_like(targets[:, :1], START)
    return torch.cat([start, targets[:, :-1]], 1)
