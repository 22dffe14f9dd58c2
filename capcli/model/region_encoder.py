"""Self-attention among the regions of a picture, in front of any decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from capcli.errors import UsageError
from capcli.model.attention import MultiHeadAttention
from capcli.model.feed_forward import FeedForward
from capcli.model.settings import MOST_REGION_LAYERS, share_option, size_option
from capcli.options import check, option


@dataclass(frozen=True)
class RegionConfig:
    """Options of the region encoder, which every decoder's config has."""

    region_layers: int = size_option(
        0, "Self-attention layers over the regions in front of the decoder.", least=0, most=MOST_REGION_LAYERS
    )
    positions: str = option(
        "learned",
        "How these layers know where a region lies: learned, a vector of its own for each; absolute, waves of its row "
        "and column; relative, a learned bias for each head and distance in rows and columns.",
        choices=("learned", "absolute", "relative"),
    )
    region_dropout: float = share_option(0.0, "Share of whole regions hidden in training.")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class FrontConfig(RegionConfig):
    """Options of a decoder that has a region encoder in front of it, where there is one; see `EncodedDecoder`."""

    region_width: int = size_option(512, "Width to which regions are projected first; that of the region layers.")
    region_heads: int = size_option(8, "Attention heads of the region layers; region_width is a multiple of it.")
    dropout: float = share_option(0.3, "Share of activations dropped in training.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.region_layers and (self.positions != "learned" or self.region_dropout):
            raise UsageError("positions and region_dropout are of region layers; set region_layers to at least 1")


class RegionLayer(nn.Module):
    """Self-attention among the regions of one picture, pre-norm.

    With relative positions softmax(q k / sqrt(d) + B), B of shape heads x R x R from a table of heads x
    (2 rows - 1) x (2 columns - 1) distances (Liu et al. 2021, Swin Transformer, section 3.2, eq. 4).
    """

    def __init__(self, width: int, heads: int, dropout: float, grid: tuple[int, int], *, relative: bool) -> None:
        super().__init__()
        self.grid = grid
        self.distances: nn.Parameter | None = None
        if relative:
            rows, columns = grid
            self.distances = nn.Parameter(torch.empty(heads, 2 * rows - 1, 2 * columns - 1))
            nn.init.normal_(self.distances, std=0.02)
        self.norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = FeedForward(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, regions: Tensor) -> Tensor:
        normed, bias = self.norm(regions), None
        if self.distances is not None:
            row, column = _places(self.grid, regions.device)
            rows, columns = row[:, None] - row + self.grid[0] - 1, column[:, None] - column + self.grid[1] - 1
            bias = self.distances[:, rows, columns]
        regions = regions + self.dropout(self.attention(normed, *self.attention.project(normed), bias=bias)[0])
        fed: Tensor = self.dropout(self.feed(self.feed_norm(regions)))
        return regions + fed


class RegionDropout(nn.Module):
    """Sets whole regions to 0 in training, each with a chance of `share`."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, regions: Tensor) -> Tensor:
        if not (self.training and self.share):
            return regions
        kept = torch.rand(regions.shape[:2], device=regions.device) >= self.share
        return regions * kept.unsqueeze(-1)


class RegionEncoder(nn.Module):
    """What a decoder inherits to let regions see each other before it looks at them.

    Inherited and not held, since model files name these tensors as the decoder's own.

    Args:
        config: the options.
        region_width: D, of the regions that come in.
        grid: rows and columns of the regions, R = rows * columns.
        width: W, of those that go out.
        heads: of the self-attention; W is a multiple of it.
        dropout: share of activations dropped in training.

    Attributes:
        encodes: its parameters' names begin with that, and no others of a decoder do.
        region_dropout: for `encode`'s regions, before words see them.

    Raises:
        ValueError: for widths, heads and positions that do not go together.
    """

    encodes = "region_"

    def __init__(
        self, config: RegionConfig, region_width: int, grid: tuple[int, int], width: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        if config.positions == "absolute" and width % 4:
            raise ValueError(f"absolute positions need a width that is a multiple of 4, not {width}")
        if config.positions == "relative" and not config.region_layers:
            raise ValueError("relative positions act in the region layers; set region_layers to at least 1")
        self.grid, self.encoded_width = grid, width
        self._waves = config.positions == "absolute"
        self.region_input = nn.Sequential(
            nn.LayerNorm(region_width), nn.Linear(region_width, width), nn.GELU(), nn.Dropout(dropout)
        )
        self.region_positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.region_positions = nn.Parameter(torch.empty(grid[0] * grid[1], width))
            nn.init.normal_(self.region_positions, std=width**-0.5)
        relative = config.positions == "relative"
        self.region_layers = nn.ModuleList(
            RegionLayer(width, heads, dropout, grid, relative=relative) for _ in range(config.region_layers)
        )
        self.region_norm = nn.LayerNorm(width)
        self.region_dropout = RegionDropout(config.region_dropout)

    def encode(self, regions: Tensor) -> Tensor:
        """B x R x W from B x R x D: each region as it is beside the others."""
        encoded: Tensor = self.region_input(regions)
        if self.region_positions is not None:
            encoded = encoded + self.region_positions
        elif self._waves:
            encoded = encoded + waves(self.grid, self.encoded_width, encoded.device)
        for layer in self.region_layers:
            encoded = layer(encoded)
        normed: Tensor = self.region_norm(encoded)
        return normed


def waves(grid: tuple[int, int], width: int, device: torch.device | None = None) -> Tensor:
    """Absolute positions of regions in two dimensions, R x W: half of each vector gives the row, half the column, as
    sines and cosines of n / 10000^(2k / (W/2)) (Vaswani et al. 2017, section 3.5; in two dimensions Parmar et al. 2018,
    Image Transformer, section 3.1, and Carion et al. 2020, DETR, appendix A.4).

    Args:
        grid: rows and columns, R = rows * columns.
        width: W, a multiple of 4.
        device: where to compute.
    """
    rates = 10000 ** (-torch.arange(width // 4, device=device) * 4 / width)
    angles = [place[:, None] * rates for place in _places(grid, device)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], -1)


def _places(grid: tuple[int, int], device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Row and column of each of the R regions."""
    places = torch.arange(grid[0] * grid[1], device=device)
    return places // grid[1], places % grid[1]
