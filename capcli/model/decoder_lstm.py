"""LSTM with soft attention and a gated context: Show, Attend and Tell (Xu et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from capcli.model.attention import AdditiveAttention
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import PAD


@dataclass(frozen=True)
class LSTMConfig:
    """Sizes of a soft-attention LSTM.

    Attributes:
        width: width of the LSTM's hidden state.
        embedding: width of the word embeddings.
        attention: width of the space in which regions and state are compared.
        region_width: width to which regions are projected first.
        dropout: share of activations dropped in training.
        max_length: longest caption in words.
    """

    width: int = 512
    embedding: int = 384
    attention: int = 512
    region_width: int = 512
    dropout: float = 0.3
    max_length: int = 40


@dataclass(frozen=True)
class LSTMState:
    """Regions (N x R x W) with their projected keys, and the hidden and cell state N x H."""

    regions: Tensor
    keys: Tensor
    hidden: Tensor
    cell: Tensor


class LSTMDecoder(Decoder):
    """Soft attention (section 4.2) with the gating scalar beta and a deep output layer (section 3.1.2, eq. 7)."""

    heads = (1, 1)

    def __init__(self, config: LSTMConfig, region_width: int, regions: int, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.region_input = nn.Sequential(
            nn.LayerNorm(region_width), nn.Linear(region_width, config.region_width), nn.ReLU()
        )
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.first_hidden = nn.Linear(config.region_width, config.width)
        self.first_cell = nn.Linear(config.region_width, config.width)
        self.attention = AdditiveAttention(config.region_width, config.width, config.attention)
        self.gate = nn.Linear(config.width, 1)
        self.cell = nn.LSTMCell(config.embedding + config.region_width, config.width)
        self.from_hidden = nn.Linear(config.width, config.embedding)
        self.from_context = nn.Linear(config.region_width, config.embedding, bias=False)
        self.output = nn.Linear(config.embedding, vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, regions: Tensor) -> LSTMState:
        seen = self.dropout(self.region_input(regions))
        mean = seen.mean(1)
        hidden, cell = torch.tanh(self.first_hidden(mean)), torch.tanh(self.first_cell(mean))
        return LSTMState(seen, self.attention.keys(seen), hidden, cell)

    def attend(self, tokens: Tensor, state: LSTMState, gates: Tensor | None = None) -> tuple[Tensor, Tensor, LSTMState]:
        word = self.dropout(self.embedding(tokens))
        each = None if gates is None else gates[:, 0, 0]
        context, weights = self.attention(state.hidden, state.keys, state.regions, each)
        context = torch.sigmoid(self.gate(state.hidden)) * context
        hidden, cell = self.cell(torch.cat([word, context], -1), (state.hidden, state.cell))
        deep = torch.tanh(word + self.from_hidden(self.dropout(hidden)) + self.from_context(context))
        logits = self.output(self.dropout(deep))
        state = LSTMState(state.regions, state.keys, hidden, cell)
        return logits.float().log_softmax(-1), weights[:, None, None], state

    def reorder(self, state: LSTMState, index: Tensor) -> LSTMState:
        return LSTMState(state.regions[index], state.keys[index], state.hidden[index], state.cell[index])

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(regions.shape[0], device=regions.device)
        state = self.reorder(self.start(regions), rows.repeat_interleave(captions.shape[0] // regions.shape[0]))
        steps = []
        for tokens in captions.unbind(1):
            log_probabilities, weights, state = self.attend(tokens, state)
            steps.append((log_probabilities, weights[:, 0, 0]))
        return torch.stack([s[0] for s in steps], 1), torch.stack([s[1] for s in steps], 1)
