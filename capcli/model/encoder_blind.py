"""The encoder of a language model, which sees nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from capcli.errors import UsageError
from capcli.model.encoder import Encoder, EncoderConfig


class BlindEncoder(nn.Module):
    """No weights and regions that never change: with it any decoder is a language model.

    Args:
        config: what it is built from; only the name counts.
        regions: R x D, in the place of a picture's.

    Attributes:
        config: as given.
        width: of the regions.
        grid: their rows and columns.
        box: as `Encoder.box`, all that there is to see.
        blocks: none to train.
    """

    box = (0.0, 0.0, 1.0, 1.0)
    blocks: tuple[nn.Module, ...] = ()

    def __init__(self, config: EncoderConfig, regions: Tensor = torch.ones(1, 1)) -> None:
        super().__init__()
        self.config, self._regions = config, regions
        self.grid, self.width = (1, regions.shape[0]), regions.shape[1]

    def load_pretrained(self, source: str) -> None:
        """Raises UsageError for all but the `imagenet` of a recipe that names no weights: there are none to load."""
        if source != "imagenet":
            raise UsageError(f"a language model has no encoder to load {source} into; leave its weights out")

    def train_from(self, block: int | None) -> None:
        """Freezes nothing, as there is nothing."""

    def forward(self, rows: Tensor) -> Tensor:
        """B x R x D regions for B rows of anything, on its device."""
        return self._regions.to(rows.device).expand(len(rows), -1, -1)


def build_encoder(config: EncoderConfig) -> Encoder | BlindEncoder:
    """The encoder of this config; raises UsageError as `Encoder` does."""
    return Encoder(config) if config.sees else BlindEncoder(config)
