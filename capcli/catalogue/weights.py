"""What the tensors of a model file amount to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from capcli.modelfile.header import KEPT, SCALE, Header

_KINDS = {"I8": "int8", "F16": "float16", "BF16": "bfloat16", "F32": "float32"}


@dataclass(frozen=True)
class Weights:
    """The numbers of a model, by its file's header."""

    header: Header

    @property
    def parameters(self) -> int:
        """Numbers that the model computes with, zeros that the file leaves out included; the scales of int8 weights and
        the bits of pruned ones are not among them.
        """
        tensors = self.header.tensors.items()
        held = sum(math.prod(shape) for name, (_, shape) in tensors if not name.endswith((SCALE, KEPT)))
        return held + self.zeros

    @property
    def zeros(self) -> int:
        """Numbers that were pruned: that are zero, and left out of the file."""
        claimed: int = self.header.described["left_out"]
        # Each has a bit; what a stranger says beyond that is not so.
        bits = sum(8 * math.prod(shape) for name, (_, shape) in self.header.tensors.items() if name.endswith(KEPT))
        return min(max(claimed, 0), bits)

    @property
    def stored(self) -> str:
        """The type that most of the numbers are stored in."""
        counts: dict[str, int] = {}
        for name, (kind, shape) in self.header.tensors.items():
            if not name.endswith(KEPT):
                counts[kind] = counts.get(kind, 0) + math.prod(shape)
        most = max(counts, key=lambda kind: counts[kind], default="?")
        return _KINDS.get(most, most)
