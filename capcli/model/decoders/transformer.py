"""A pre-norm transformer decoder with cross-attention to the regions and cached keys and values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.model.attention import MultiHeadAttention
from capcli.model.decoders.contract import Decoder
from capcli.model.feed_forward import FeedForward, shrink_branches
from capcli.model.region_encoder import RegionConfig, RegionEncoder
from capcli.model.settings import MOST_REGION_LAYERS, share_option, size_option
from capcli.words.vocabulary import PAD


@dataclass(frozen=True)
class TransformerConfig(RegionConfig):
    """Sizes of a transformer decoder (Vaswani et al. 2017; pre-norm as in Xiong et al. 2020)."""

    width: int = size_option(384, "Width of embeddings, hidden states and region layers.")
    heads: int = size_option(8, "Attention heads, also of the region layers; width is a multiple of it.")
    layers: int = size_option(3, "Decoder layers.", most=100)
    region_layers: int = size_option(
        1, "Self-attention layers over the regions in front of the decoder.", least=0, most=MOST_REGION_LAYERS
    )
    dropout: float = share_option(0.1, "Share of activations dropped in training.")
    max_length: int = size_option(40, "Longest caption in words.")


@dataclass(frozen=True)
class TransformerState:
    """Cached keys and values: `memory` of the pictures by layer, `past` of the words so far by layer.

    `pictures` names the picture of each row; `memory` holds a picture once for all its rows.
    """

    memory: tuple[tuple[Tensor, Tensor], ...]
    past: tuple[tuple[Tensor, Tensor], ...]
    pictures: Tensor
    length: int


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
        context, weights = self.cross(self.cross_norm(words), *memory, with_weights=True, gates=gates)
        words = words + self.dropout(context)
        return words + self.dropout(self.feed(self.feed_norm(words))), weights, (key, value)


class TransformerDecoder(RegionEncoder, Decoder[TransformerState]):
    """Decoder whose attention to the regions is the cross-attention of its layers."""

    def __init__(
        self, config: TransformerConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int
    ) -> None:
        super().__init__(config, region_width, grid, config.width, config.heads, config.dropout)
        self.config = config
        self.heads = (config.layers, config.heads)
        self.embedding = nn.Embedding(vocabulary_size, config.width, padding_idx=PAD)
        self.positions = nn.Parameter(torch.empty(config.max_length + 1, config.width))
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        for parameter in (self.embedding.weight, self.positions):
            nn.init.normal_(parameter, std=config.width**-0.5)
        shrink_branches(self, config.layers)

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
        by_layer = None if gates is None else gates.unsqueeze(3)
        words, attention, past = self._run(words, state.memory, state.past, by_layer)
        new = replace(state, past=past, length=state.length + 1)
        return self._log_probabilities(words.squeeze(1)), attention.squeeze(3), new

    def trace(
        self, captions: Tensor, state: TransformerState, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, None]:
        # All words at once: several times as fast as one after another, which would read every weight for each.
        words = self.embedding(captions) + self.positions[: captions.shape[1]]
        by_layer = None if gates is None else gates.permute(0, 2, 3, 1, 4)
        words, attention, _ = self._run(words, state.memory, None, by_layer, apart=True)
        return self._log_probabilities(words), attention.permute(0, 3, 1, 2, 4), None

    def reorder(self, state: TransformerState, index: Tensor) -> TransformerState:
        past = tuple((key[index], value[index]) for key, value in state.past)
        memory, pictures = state.memory, state.pictures[index]
        kept, counts = pictures.unique_consecutive(return_counts=True)
        if (counts != counts[:1]).any():  # rows that differ in number cannot share
            kept, counts = pictures, torch.ones_like(pictures)
        numbers = torch.arange(len(kept), device=index.device)
        if not torch.equal(kept, torch.arange(len(memory[0][0]), device=index.device)):
            memory = tuple((key[kept], value[kept]) for key, value in memory)
        pictures = numbers.repeat_interleave(counts)
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
            layer_gates = None if gates is None else gates[:, index]
            before = None if past is None else past[index]
            words, weights, key_value = layer(words, memory[index], before, layer_gates, apart=apart)
            attentions.append(weights)
            cached.append(key_value)
        return words, torch.stack(attentions, 1), tuple(cached)

    def _memory(self, regions: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        encoded = self.region_dropout(self.encode(regions))
        return tuple(cast(DecoderLayer, layer).project(encoded) for layer in self.layers)

    def _log_probabilities(self, words: Tensor) -> Tensor:
        # Input and output embeddings are one matrix (Press and Wolf 2017).
        return F.linear(self.norm(words), self.embedding.weight, self.bias).float().log_softmax(-1)
