"""Decoders that see a picture as one vector, the mean of its regions, and so have no attention to show."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.recurrent import MOST_LAYERS
from capcli.model.region_encoder import FrontConfig
from capcli.model.settings import size_option
from capcli.options import option
from capcli.words.vocabulary import PAD


@dataclass(frozen=True)
class PooledState:
    """The picture's vector N x I, and the LSTM's hidden and cell states, layers x N x H."""

    picture: Tensor
    hidden: Tensor
    cell: Tensor


class PooledDecoder(Decoder[PooledState]):
    """An LSTM over the words; its heirs say where the picture comes in.

    Where it can is sorted by Tanti, Gatt and Camilleri (2018, section 2): injected into the LSTM before or with the
    words, or merged with what the LSTM made of them.
    """

    lstm: nn.LSTM

    @abstractmethod
    def start(self, regions: Tensor) -> PooledState:
        """State before the first word."""

    @abstractmethod
    def read(self, tokens: Tensor, picture: Tensor) -> Tensor:
        """Inputs of the LSTM, N x T x I, for words N x T and what `start` made of the picture."""

    @abstractmethod
    def say(self, hidden: Tensor, picture: Tensor) -> Tensor:
        """Logits N x T x V from hidden states N x T x H and what `start` made of the picture."""

    def attend(
        self, tokens: Tensor, state: PooledState, gates: Tensor | None = None
    ) -> tuple[Tensor, None, PooledState]:
        log_probabilities, state = self._said(tokens.unsqueeze(1), state)
        return log_probabilities.squeeze(1), None, state

    def reorder(self, state: PooledState, index: Tensor) -> PooledState:
        return PooledState(state.picture[index], state.hidden[:, index], state.cell[:, index])

    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, None]:
        return self._said(captions, self.begin(regions, len(captions) // len(regions)))[0], None

    def run(self, inputs: Tensor, state: PooledState) -> tuple[Tensor, PooledState]:
        """Hidden states N x T x H of the highest layer for inputs N x T x I, and the state after them."""
        # In mixed precision torch's LSTM refuses what autocast gives it on the CPU.
        with torch.autocast(inputs.device.type, enabled=False):
            hidden, (last, cell) = self.lstm(inputs.to(state.hidden.dtype), (state.hidden, state.cell))
        return hidden, replace(state, hidden=last, cell=cell)

    def rest(self, picture: Tensor) -> PooledState:
        """The state of an LSTM that has read nothing yet."""
        zeros = next(self.lstm.parameters()).new_zeros(self.lstm.num_layers, picture.shape[0], self.lstm.hidden_size)
        return PooledState(picture, zeros, zeros)

    def _said(self, tokens: Tensor, state: PooledState) -> tuple[Tensor, PooledState]:
        hidden, state = self.run(self.read(tokens, state.picture), state)
        return self.say(hidden, state.picture).float().log_softmax(-1), state


@dataclass(frozen=True)
class InjectConfig(FrontConfig):
    """Sizes of a decoder whose LSTM reads the picture."""

    width: int = size_option(512, "Width of each layer's hidden state.")
    embedding: int = size_option(512, "Width of the word embeddings, and of the picture's vector beside them.")
    layers: int = size_option(1, "Layers of the LSTM.", most=MOST_LAYERS)
    image: str = option(
        "first",
        "When the LSTM reads the picture: first, before the words and once (Show and Tell), or beside every word.",
        choices=("first", "every"),
    )
    max_length: int = size_option(40, "Longest caption in words.")


class InjectDecoder(PooledDecoder):
    """The picture as a word: x_-1 = W_I mean(a), x_t = W_e S_t, p_t+1 = softmax(LSTM(x_t)) (Vinyals et al. 2015, Show
    and Tell, section 3.1, eq. 10 to 12); or beside each word (Donahue et al. 2015, section 4.2, unfactored LRCN).
    """

    def __init__(self, config: InjectConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.picture_input = nn.Sequential(nn.LayerNorm(region_width), nn.Linear(region_width, config.embedding))
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        given = config.embedding * (2 if config.image == "every" else 1)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(given, config.width, config.layers, batch_first=True, dropout=between)
        with torch.no_grad():
            for layer in range(config.layers):
                # A forget gate that begins open (Jozefowicz et al. 2015) keeps a picture that is seen but once.
                getattr(self.lstm, f"bias_ih_l{layer}")[config.width : 2 * config.width].fill_(1.0)
        self.output = nn.Linear(config.width, vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, regions: Tensor) -> PooledState:
        picture = self.picture_input(regions.mean(1))
        state = self.rest(picture)
        if self.config.image == "first":
            _, state = self.run(self.dropout(picture).unsqueeze(1), state)
        return state

    def read(self, tokens: Tensor, picture: Tensor) -> Tensor:
        words = self.embedding(tokens)
        if self.config.image == "every":
            words = torch.cat([words, picture.unsqueeze(1).expand(-1, tokens.shape[1], -1)], -1)
        inputs: Tensor = self.dropout(words)
        return inputs

    def say(self, hidden: Tensor, picture: Tensor) -> Tensor:
        logits: Tensor = self.output(self.dropout(hidden))
        return logits
