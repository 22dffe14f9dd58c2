"""A text encoder beside the picture, fused before the words are chosen: merge (Tanti et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from capcli.model.decoders.pooled import PooledDecoder, PooledState
from capcli.model.region_encoder import FrontConfig
from capcli.model.settings import size_option
from capcli.options import option
from capcli.words.vocabulary import PAD


@dataclass(frozen=True)
class MergeConfig(FrontConfig):
    """Sizes of a merge decoder."""

    width: int = size_option(
        512, "Width of what the LSTM makes of the words, of what is made of the picture, and of the layer over both."
    )
    embedding: int = size_option(384, "Width of the word embeddings.")
    fusion: str = option(
        "concat", "How the two meet: concat puts them beside each other, add adds them up.", choices=("concat", "add")
    )
    max_length: int = size_option(40, "Longest caption in words.")


class MergeDecoder(PooledDecoder):
    """The LSTM reads words alone; p = softmax(W_o relu(W_f [LSTM(S_1..t) ; relu(W_I mean(a))])), or with + for ;
    (Tanti, Gatt and Camilleri 2017, What is the role of recurrent neural networks in an image caption generator?,
    section 3; by addition, the element-wise merge of their 2018 article, section 2).
    """

    def __init__(self, config: MergeConfig, region_width: int, grid: tuple[int, int], vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.picture_input = nn.Sequential(
            nn.LayerNorm(region_width), nn.Linear(region_width, config.width), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.lstm = nn.LSTM(config.embedding, config.width, batch_first=True)
        self.fused = nn.Linear(config.width * (2 if config.fusion == "concat" else 1), config.width)
        self.output = nn.Linear(config.width, vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def start(self, regions: Tensor) -> PooledState:
        return self.rest(self.picture_input(regions.mean(1)))

    def read(self, tokens: Tensor, picture: Tensor) -> Tensor:
        words: Tensor = self.dropout(self.embedding(tokens))
        return words

    def say(self, hidden: Tensor, picture: Tensor) -> Tensor:
        words, image = self.dropout(hidden), picture.unsqueeze(1).expand_as(hidden)
        both = torch.cat([words, image], -1) if self.config.fusion == "concat" else words + image
        logits: Tensor = self.output(self.dropout(torch.relu(self.fused(both))))
        return logits
