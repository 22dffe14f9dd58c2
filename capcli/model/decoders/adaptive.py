"""LSTM with a visual sentinel, which knows when not to look: adaptive attention (Lu et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.model.attention import AdditiveAttention
from capcli.model.decoders.contract import Decoder, word_by_word
from capcli.model.region_encoder import FrontConfig
from capcli.model.settings import size_option
from capcli.words.vocabulary import PAD


@dataclass(frozen=True)
class AdaptiveConfig(FrontConfig):
    """Sizes of an adaptive-attention LSTM."""

    width: int = size_option(512, "Width of the hidden state, the regions and the sentinel, which are added up.")
    embedding: int = size_option(384, "Width of the word embeddings.")
    attention_width: int = size_option(
        512, "Width of the space in which regions, sentinel and hidden state are compared."
    )
    max_length: int = size_option(40, "Longest caption in words.")


@dataclass(frozen=True)
class AdaptiveState:
    """Keys N x R x A, regions N x R x H and mean N x H of the pictures; hidden and cell state N x H; and the share N
    of the sentinel in the last word.
    """

    keys: Tensor
    values: Tensor
    picture: Tensor
    hidden: Tensor
    cell: Tensor
    share: Tensor


class AdaptiveDecoder(Decoder[AdaptiveState]):
    """The LSTM speaks before it looks, and what it remembers is one more thing to look at (sections 2.2 and 2.3).

    x_t = [w_t; v_g], h_t, m_t = LSTM(x_t, h_t-1, m_t-1), s_t = sigmoid(W_x x_t + W_h h_t-1) * tanh(m_t) (eq. 9, 10).
    Over the regions and the sentinel s_t together, additive attention gives weights (1 - beta) alpha and beta (eq. 12),
    context c = beta s_t + (1 - beta) sum_i alpha_i v_i (eq. 11) and p_t = softmax(W_p (c + h_t)) (eq. 13).
    """

    heads = (1, 1)

    def __init__(self, config: AdaptiveConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width, given = config.width, config.embedding + config.width
        self.region_norm = nn.LayerNorm(region_width)
        self.region_input = nn.Linear(region_width, width)
        self.picture_input = nn.Linear(region_width, width)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.cell = nn.LSTMCell(given, width)
        self.sentinel_gate = nn.Linear(given + width, width)
        self.attention = AdditiveAttention(width, width, config.attention_width)
        self.sentinel_key = nn.Linear(width, config.attention_width)
        self.output = nn.Linear(width, vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, regions: Tensor) -> AdaptiveState:
        normed = self.region_norm(regions)
        picture = self.dropout(torch.relu(self.picture_input(normed.mean(1))))
        keys, values = self.attention.project(self.dropout(torch.relu(self.region_input(normed))))
        nothing = torch.zeros_like(picture)
        return AdaptiveState(keys, values, picture, nothing, nothing, nothing[:, 0].float())

    def attend(
        self, tokens: Tensor, state: AdaptiveState, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, AdaptiveState]:
        given = torch.cat([self.dropout(self.embedding(tokens)), state.picture], -1)
        hidden, cell = self.cell(given, (state.hidden, state.cell))
        memory = torch.sigmoid(self.sentinel_gate(torch.cat([given, state.hidden], -1))) * torch.tanh(cell)
        keys = torch.cat([state.keys, self.sentinel_key(memory).unsqueeze(1)], 1)
        values = torch.cat([state.values, memory.unsqueeze(1)], 1)
        padded_gates = None if gates is None else F.pad(gates[:, 0], (0, 1), value=1.0)
        context, weights = self.attention(hidden, keys, values, padded_gates)
        logits = self.output(self.dropout(context + hidden))
        regions, share = weights[..., :-1], weights[:, 0, -1]
        # Where the sentinel has all, rounding has left nothing to divide by.
        total = regions.sum(-1, keepdim=True)
        regions = torch.where(total > 0, regions / total.clamp(min=1e-30), 1 / regions.shape[-1])
        new = AdaptiveState(state.keys, state.values, state.picture, hidden, cell, share)
        return logits.float().log_softmax(-1), regions.unsqueeze(1), new

    def sentinel(self, state: AdaptiveState) -> Tensor:
        return state.share

    def reorder(self, state: AdaptiveState, index: Tensor) -> AdaptiveState:
        return AdaptiveState(*(getattr(state, name)[index] for name in AdaptiveState.__dataclass_fields__))

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        return word_by_word(self, regions, captions)
