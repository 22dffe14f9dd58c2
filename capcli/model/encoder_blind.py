"""The encoder of a language model, which sees nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from capcli.errors import UsageError
from capcli.model.encoder import Encoder, EncoderConfig


class BlindEncoder(nn.Module):
    """No weights and one region that never changes: with it any decoder is a language model.

    Attributes:
        config: what it is built from; only the name counts.
        width: of the region.
        grid: its row and column.
        box: as `Encoder.box`, all that there is to see.
        blocks: none to train.
    """

    width = 1
    grid = (1, 1)
    box = (0.0, 0.0, 1.0, 1.0)
    blocks: tuple[nn.Module, ...] = ()

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    def load_pretrained(self, source: str) -> None:
        """Raises UsageError for all but the `imagenet` of a recipe that names no weights: there are none to load."""
        if source != "imagenet":
            raise UsageError(f"a language model has no encoder to load {source} into; leave its weights out")

    def train_from(self, block: int | None) -> None:
        """Freezes nothing, as there is nothing."""

    def forward(self, rows: Tensor) -> Tensor:
        """B x 1 x 1 regions for B rows of anything, on its device."""
        return torch.ones(len(rows), 1, 1, device=rows.device)


def build_encoder(config: EncoderConfig) -> Encoder | BlindEncoder:
    """The encoder of this config; raises UsageError as `Encoder` does."""
    return Encoder(config) if config.sees else BlindEncoder(config)
