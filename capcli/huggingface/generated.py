"""What `generate` gave, as captions of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from capcli.huggingface.asking import Asked


@dataclass(frozen=True)
class Generated:
    """A caption of T tokens.

    Attributes:
        ids: the tokens; special ones among them are no part of the sentence, and what follows depends on them.
        logs: of each the natural logarithm of its probability given the picture and those before it, as the model has
            them, whatever a draw or a rule made of them.
        end: the same of the end; None if the caption was cut.
    """

    ids: list[int]
    logs: list[float]
    end: float | None

    def score(self, length_penalty: float) -> float:
        """Its log-probability, divided by its length to a power."""
        steps = [*self.logs, *([] if self.end is None else [self.end])]
        score: float = sum(steps) / max(1, len(steps)) ** length_penalty
        return score


def read_generated(output: Any, asked: Asked, ends: Sequence[int], tokenizer: Any) -> list[Generated]:
    """The captions that `generate` returned for pictures, one after another.

    Args:
        output: what it returned, with logits.
        asked: what it was given.
        ends: tokens that end a caption.
        tokenizer: of the model.
    """
    beams = getattr(output, "beam_indices", None)
    steps = len(output.logits)
    new = output.sequences[:, output.sequences.shape[1] - (steps if beams is None else beams.shape[1]) :]
    logs = torch.zeros(new.shape)
    for step in range(min(steps, new.shape[1])):
        logits = output.logits[step].float()
        rows = torch.arange(len(new), device=logits.device) if beams is None else beams[:, step].long()
        found = logits[rows, new[:, step]] - logits.logsumexp(-1)[rows]
        # A beam that was cut before has no row any more, and is filled up, possibly with ends.
        logs[:, step] = found.masked_fill(rows < 0, torch.nan).cpu()
    prefix = asked.head[:, asked.begin :].tolist()
    count = len(new) // len(prefix)
    specials = {*tokenizer.all_special_ids, *ends}
    return [
        _read_sequence(row, values, prefix[place // count], specials, ends)
        for place, (row, values) in enumerate(zip(new.tolist(), logs.tolist(), strict=True))
    ]


def _read_sequence(
    row: list[int], logs: list[float], prefix: list[int], specials: set[int], ends: Sequence[int]
) -> Generated:
    # Some decoders say a start token first, which may be one that ends captions, too.
    first = next((place for place, token in enumerate(row) if token not in specials), len(row))
    stop = next((place for place in range(first, len(row)) if row[place] in ends), None)
    last = len(row) if stop is None else stop
    if stop is None:
        # What was cut is padded to the length of the longest.
        while last > first and row[last - 1] in specials:
            last -= 1
    given = [0.0] * len(prefix)
    end = None if stop is None or math.isnan(logs[stop]) else logs[stop]
    return Generated([*prefix, *row[:last]], given + logs[:last], end)
