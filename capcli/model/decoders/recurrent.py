"""LSTM or GRU with soft attention and a gated context: Show, Attend and Tell (Xu et al. 2015) and its variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from capcli.model.attention import AdditiveAttention, DotAttention, HeadsAttention, RegionAttention
from capcli.model.decoders.contract import Decoder, word_by_word
from capcli.model.region_encoder import FrontConfig
from capcli.model.settings import size_option
from capcli.options import option
from capcli.words.vocabulary import PAD

MOST_LAYERS = 16


@dataclass(frozen=True)
class RecurrentConfig(FrontConfig):
    """Sizes of a recurrent decoder with attention."""

    formerly: ClassVar[dict[str, str]] = {"attention_width": "attention"}

    width: int = size_option(512, "Width of each layer's hidden state.")
    embedding: int = size_option(384, "Width of the word embeddings.")
    attention: str = option(
        "additive", "How regions and hidden state are compared.", choices=("additive", "dot", "multi-head")
    )
    attention_width: int = size_option(512, "Width of the space in which they are compared, of all heads together.")
    heads: int = size_option(8, "Heads of multi-head attention; attention_width is a multiple of it.")
    layers: int = size_option(
        1,
        "Cells above each other; the lowest takes the word and the context, the highest asks and speaks.",
        most=MOST_LAYERS,
    )
    max_length: int = size_option(40, "Longest caption in words.")


@dataclass(frozen=True)
class RecurrentState:
    """Keys and values of the regions, by row first, and each layer's hidden state, N x 1 x H, or N x 2 x H with the
    cell state of an LSTM after it.
    """

    keys: Tensor
    values: Tensor
    layers: tuple[Tensor, ...]


class RecurrentDecoder(Decoder[RecurrentState]):
    """Soft attention (section 4.2) with the gating scalar beta and a deep output layer (section 3.1.2, eq. 7).

    Attributes:
        cell_class: torch's cell.
        states: tensors that it hands on from word to word.
    """

    cell_class: ClassVar[type[nn.LSTMCell] | type[nn.GRUCell]]
    states: ClassVar[int]

    def __init__(self, config: RecurrentConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.region_input = nn.Sequential(
            nn.LayerNorm(region_width), nn.Linear(region_width, config.region_width), nn.ReLU()
        )
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.first_hidden = nn.Linear(config.region_width, config.layers * config.width)
        if self.states == 2:
            self.first_cell = nn.Linear(config.region_width, config.layers * config.width)
        self.attention = _attention(config)
        self.heads = (1, self.attention.heads)
        self.gate = nn.Linear(config.width, 1)
        self.cell = self.cell_class(config.embedding + config.region_width, config.width)
        self.upper = nn.ModuleList(self.cell_class(config.width, config.width) for _ in range(config.layers - 1))
        self.from_hidden = nn.Linear(config.width, config.embedding)
        self.from_context = nn.Linear(config.region_width, config.embedding, bias=False)
        self.output = nn.Linear(config.embedding, vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, regions: Tensor) -> RecurrentState:
        encoded = self.dropout(self.region_input(regions))
        mean = encoded.mean(1)
        first = [self.first_hidden, self.first_cell] if self.states == 2 else [self.first_hidden]
        states = torch.stack([torch.tanh(linear(mean)) for linear in first], 1)
        return RecurrentState(*self.attention.project(encoded), states.chunk(self.config.layers, -1))

    def attend(
        self, tokens: Tensor, state: RecurrentState, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, RecurrentState]:
        word = self.dropout(self.embedding(tokens))
        query = state.layers[-1][:, 0]
        layer_gates = None if gates is None else gates[:, 0]
        context, weights = self.attention(query, state.keys, state.values, layer_gates)
        context = torch.sigmoid(self.gate(query)) * context
        hidden, layers = torch.cat([word, context], -1), []
        for number, (cell, before) in enumerate(zip([self.cell, *self.upper], state.layers, strict=True)):
            after = self._run(cell, self.dropout(hidden) if number else hidden, before)
            hidden = after[:, 0]
            layers.append(after)
        deep = torch.tanh(word + self.from_hidden(self.dropout(hidden)) + self.from_context(context))
        logits = self.output(self.dropout(deep))
        state = RecurrentState(state.keys, state.values, tuple(layers))
        return logits.float().log_softmax(-1), weights.unsqueeze(1), state

    def reorder(self, state: RecurrentState, index: Tensor) -> RecurrentState:
        return RecurrentState(state.keys[index], state.values[index], tuple(layer[index] for layer in state.layers))

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        return word_by_word(self, regions, captions)

    def _run(self, cell: nn.Module, given: Tensor, before: Tensor) -> Tensor:
        """What a cell makes of its input N x I and its states N x `states` x H."""
        raise NotImplementedError


class LSTMDecoder(RecurrentDecoder):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), as Xu et al. have it."""

    cell_class = nn.LSTMCell
    states = 2

    def _run(self, cell: nn.Module, given: Tensor, before: Tensor) -> Tensor:
        return torch.stack(cell(given, (before[:, 0], before[:, 1])), 1)


class GRUDecoder(RecurrentDecoder):
    """Gated recurrent units (Cho et al. 2014, section 2.3) in the place of the LSTM's."""

    cell_class = nn.GRUCell
    states = 1

    def _run(self, cell: nn.Module, given: Tensor, before: Tensor) -> Tensor:
        hidden: Tensor = cell(given, before[:, 0])
        return hidden.unsqueeze(1)


def _attention(config: RecurrentConfig) -> RegionAttention:
    widths = config.region_width, config.width, config.attention_width
    if config.attention == "multi-head":
        if config.attention_width % config.heads:
            raise ValueError(f"attention_width {config.attention_width} is not a multiple of heads {config.heads}")
        return HeadsAttention(*widths, config.heads)
    return DotAttention(*widths) if config.attention == "dot" else AdditiveAttention(*widths)
