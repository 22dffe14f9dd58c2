"""What transformer layers have beside attention: the position-wise network, and how residual branches begin."""

from __future__ import annotations

import math

from torch import nn


class FeedForward(nn.Sequential):
    """Position-wise two-layer network, four times as wide inside (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


def shrink_branches(module: nn.Module, layers: int) -> None:
    """Lets what attention and feed-forward networks add begin small, so that `layers` of them do not inflate the sum
    (GPT-2, Radford et al. 2019, section 2.3).
    """
    for name, parameter in module.named_parameters():
        if name.endswith(("output.weight", "feed.2.weight")):
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers))
