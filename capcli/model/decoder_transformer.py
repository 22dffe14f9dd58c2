"""A pre-norm transformer decoder with cross-attention to the regions and cached keys and values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.model.attention import MultiHeadAttention
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import PAD


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a transformer decoder (Vaswani et al. 2017; pre-norm as in Xiong et al. 2020).

    Attributes:
        width: width of embeddings and hidden states.
        heads: attention heads; `width` is a multiple of it.
        layers: decoder layers.
        region_layers: self-attention layers over the regions in front of the decoder.
        positions: how these tell where a region lies: `learned`, a vector of its own for each; `absolute`, waves of
            its row and column; `relative`, a learned bias for each head and distance in rows and columns.
        dropout: share of activations dropped in training.
        region_dropout: share of whole regions hidden in training.
        max_length: longest caption in words.
    """

    width: int = 384
    heads: int = 8
    # Bounded, because a hostile model file could ask for layers without end, each small.
    layers: int = field(default=3, metadata={"max": 100})
    region_layers: int = field(default=1, metadata={"min": 0, "max": 100})
    positions: str = field(default="learned", metadata={"choices": ("learned", "absolute", "relative")})
    dropout: float = 0.1
    region_dropout: float = 0.0
    max_length: int = 40


@dataclass(frozen=True)
class TransformerState:
    """Cached keys and values: `memory` of the pictures by layer, `past` of the words so far by layer.

    `pictures` names the picture of each row; `memory` holds a picture once for all its rows.
    """

    memory: tuple[tuple[Tensor, Tensor], ...]
    past: tuple[tuple[Tensor, Tensor], ...]
    pictures: Tensor
    length: int


class FeedForward(nn.Sequential):
    """Position-wise two-layer network, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class RegionLayer(nn.Module):
    """Self-attention among the regions of one picture.

    With relative positions softmax(q k / sqrt(d) + B), B of shape heads x R x R from a table of heads x
    (2 rows - 1) x (2 columns - 1) distances (Liu et al. 2021, Swin Transformer, section 3.2, eq. 4).
    """

    def __init__(self, config: TransformerConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.distances: nn.Parameter | None = None
        if config.positions == "relative":
            rows, columns = grid
            self.distances = nn.Parameter(torch.empty(config.heads, 2 * rows - 1, 2 * columns - 1))
            nn.init.normal_(self.distances, std=0.02)
        self.norm = nn.LayerNorm(config.width)
        self.attention = MultiHeadAttention(config.width, config.heads, config.dropout)
        self.feed_norm = nn.LayerNorm(config.width)
        self.feed = FeedForward(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, regions: Tensor) -> Tensor:
        normed, bias = self.norm(regions), None
        if self.distances is not None:
            row, column = _places(self.grid, regions.device)
            rows, columns = row[:, None] - row + self.grid[0] - 1, column[:, None] - column + self.grid[1] - 1
            bias = self.distances[:, rows, columns]
        regions = regions + self.dropout(self.attention(normed, *self.attention.project(normed), bias=bias)[0])
        return regions + self.dropout(self.feed(self.feed_norm(regions)))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the regions, feed-forward."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.attention = MultiHeadAttention(config.width, config.heads, config.dropout)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross = MultiHeadAttention(config.width, config.heads, config.dropout)
        self.feed_norm = nn.LayerNorm(config.width)
        self.feed = FeedForward(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def project(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the regions for this layer's cross-attention."""
        return self.cross.project(regions)

    def forward(
        self,
        words: Tensor,
        memory: tuple[Tensor, Tensor],
        past: tuple[Tensor, Tensor] | None,
        gates: Tensor | None = None,
        *,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, Tensor]]:
        """N x T x W words; with `past` (T = 1) they follow the cached ones, without it they are a whole caption.

        `gates`, N x heads x T x R, are of the cross-attention; with `apart` no gradient goes from a word of a caption
        to an earlier one.
        """
        normed = self.norm(words)
        key, value = self.attention.project(normed)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        if apart:
            words = words + self.attention.causal_apart(normed, key, value)
        else:
            words = words + self.dropout(self.attention(normed, key, value, causal=past is None)[0])
        seen, weights = self.cross(self.cross_norm(words), *memory, with_weights=True, gates=gates)
        words = words + self.dropout(seen)
        return words + self.dropout(self.feed(self.feed_norm(words))), weights, (key, value)


class TransformerDecoder(Decoder):
    """Decoder whose attention to the regions is the cross-attention of its layers."""

    def __init__(
        self, config: TransformerConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int
    ) -> None:
        super().__init__()
        if config.positions == "absolute" and config.width % 4:
            raise ValueError(f"absolute positions need a width that is a multiple of 4, not {config.width}")
        if config.positions == "relative" and not config.region_layers:
            raise ValueError("relative positions act in the region layers; set region_layers to at least 1")
        self.config, self.grid = config, grid
        self.heads = (config.layers, config.heads)
        self.region_input = nn.Sequential(
            nn.LayerNorm(region_width),
            nn.Linear(region_width, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )
        self.region_positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.region_positions = nn.Parameter(torch.empty(grid[0] * grid[1], config.width))
        self.region_layers = nn.ModuleList(RegionLayer(config, grid) for _ in range(config.region_layers))
        self.region_norm = nn.LayerNorm(config.width)
        self.embedding = nn.Embedding(vocabulary_size, config.width, padding_idx=PAD)
        self.positions = nn.Parameter(torch.empty(config.max_length + 1, config.width))
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        for parameter in (self.region_positions, self.embedding.weight, self.positions):
            if parameter is not None:
                nn.init.normal_(parameter, std=config.width**-0.5)
        for name, parameter in self.named_parameters():
            if name.endswith(("output.weight", "feed.2.weight")):
                # Residual branches start small so that depth does not inflate the sum (GPT-2, section 2.3).
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers))

    def start(self, regions: Tensor) -> TransformerState:
        memory = self._memory(regions)
        rows, (key, _) = regions.shape[0], memory[0]
        empty = key.new_empty(rows, self.config.heads, 0, key.shape[-1])
        past = tuple((empty, empty) for _ in self.layers)
        return TransformerState(memory, past, torch.arange(rows, device=regions.device), 0)

    def attend(
        self, tokens: Tensor, state: TransformerState, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, TransformerState]:
        words = (self.embedding(tokens) + self.positions[state.length]).unsqueeze(1)
        each = None if gates is None else gates.unsqueeze(3)
        words, attention, past = self._run(words, state.memory, state.past, each)
        new = replace(state, past=past, length=state.length + 1)
        return self._log_probabilities(words).squeeze(1), attention.squeeze(3), new

    def trace(
        self, captions: Tensor, state: TransformerState, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, None]:
        # All words at once: several times as fast as one after another, which would read every weight for each.
        words = self.embedding(captions) + self.positions[: captions.shape[1]]
        each = None if gates is None else gates.permute(0, 2, 3, 1, 4)
        words, attention, _ = self._run(words, state.memory, None, each, apart=True)
        return self._log_probabilities(words), attention.permute(0, 3, 1, 2, 4), None

    def reorder(self, state: TransformerState, index: Tensor) -> TransformerState:
        past = tuple((key[index], value[index]) for key, value in state.past)
        memory, pictures = state.memory, state.pictures[index]
        count = memory[0][0].shape[0]
        grouped = torch.arange(count, device=index.device).repeat_interleave(max(1, len(index) // count))
        if not torch.equal(pictures, grouped):
            memory = tuple((key[pictures], value[pictures]) for key, value in memory)
            pictures = torch.arange(len(index), device=index.device)
        return replace(state, memory=memory, past=past, pictures=pictures)

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        words = self.dropout(self.embedding(captions) + self.positions[: captions.shape[1]])
        words, attention, _ = self._run(words, self._memory(regions), None)
        return self._log_probabilities(words), attention.mean((1, 2))

    def _run(
        self,
        words: Tensor,
        memory: tuple[tuple[Tensor, Tensor], ...],
        past: tuple[tuple[Tensor, Tensor], ...] | None,
        gates: Tensor | None = None,
        *,
        apart: bool = False,
    ) -> tuple[Tensor, Tensor, tuple[tuple[Tensor, Tensor], ...]]:
        """The words after all layers, the attention N x layers x heads x T x R, as `gates` are, and the keys and
        values to cache.
        """
        attentions, cached = [], []
        for index, layer in enumerate(self.layers):
            each = None if gates is None else gates[:, index]
            before = None if past is None else past[index]
            words, weights, key_value = layer(words, memory[index], before, each, apart=apart)
            attentions.append(weights)
            cached.append(key_value)
        return words, torch.stack(attentions, 1), tuple(cached)

    def _memory(self, regions: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        seen = self.region_input(regions)
        if self.region_positions is not None:
            seen = seen + self.region_positions
        elif self.config.positions == "absolute":
            seen = seen + waves(self.grid, self.config.width, seen.device)
        for layer in self.region_layers:
            seen = layer(seen)
        seen = self.region_norm(seen)
        if self.training and self.config.region_dropout:
            kept = torch.rand(seen.shape[:2], device=seen.device) >= self.config.region_dropout
            seen = seen * kept.unsqueeze(-1)
        return tuple(layer.project(seen) for layer in self.layers)  # type: ignore[operator]

    def _log_probabilities(self, words: Tensor) -> Tensor:
        # Input and output embeddings are one matrix (Press and Wolf 2017).
        return F.linear(self.norm(words), self.embedding.weight, self.bias).float().log_softmax(-1)


def waves(grid: tuple[int, int], width: int, device: torch.device | None = None) -> Tensor:
    """Absolute positions of regions in two dimensions, R x W: half of each vector tells the row, half the column, as
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
