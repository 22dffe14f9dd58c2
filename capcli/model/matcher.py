"""Pictures and sentences in one space, where those that belong together lie close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from capcli.errors import UsageError
from capcli.model.matcher_config import MatcherConfig
from capcli.options import build
from capcli.words.vocabulary import END, PAD

BATCH = 512
"""Sentences that are embedded at once, which bounds the memory."""


class Matcher(nn.Module):
    """Tells how well a sentence fits a picture: the cosine similarity of their vectors (Kiros et al. 2014, section 2).

    Regions are projected and pooled to the picture's vector; the states of a bidirectional GRU are pooled to the
    sentence's. Its words are those of the captioner's vocabulary. `capcli.model.sentence_encoder` computes sentences
    without torch, and alike.
    """

    def __init__(self, config: MatcherConfig, region_width: int, vocabulary_size: int) -> None:
        super().__init__()
        if config.width % 2:
            raise ValueError(f"width {config.width} is not a multiple of 2")
        self.norm = nn.LayerNorm(region_width)
        self.region = nn.Linear(region_width, config.width)
        self.region_pooling = AttentivePooling(config.width, config.heads)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding, padding_idx=PAD)
        self.states = nn.GRU(config.embedding, config.width // 2, batch_first=True, bidirectional=True)
        self.word_pooling = AttentivePooling(config.width, config.heads)
        self.sentence = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def pictures(self, regions: Tensor) -> Tensor:
        """Unit vectors B x E, float32, of B x R x D regions."""
        items = self.region(self.dropout(self.norm(regions)))
        return F.normalize(self.region_pooling(items).float(), dim=-1)

    def sentences(self, words: Tensor) -> Tensor:
        """Unit vectors N x E, float32, of N x T word indices, T at least 1, an end and `<pad>` counting nothing."""
        real = (words != PAD) & (words != END)
        # A sentence without words is one `<pad>`.
        lengths = real.sum(1).clamp(min=1)
        real[:, 0] = True
        packed = pack_padded_sequence(
            self.dropout(self.embedding(words)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.states(packed)[0], batch_first=True, total_length=words.shape[1])
        return F.normalize(self.sentence(self.word_pooling(self.dropout(states), real)).float(), dim=-1)

    def embed(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """`sentences` for N lists of word indices of any length."""
        device = self.sentence.weight.device
        parts = [torch.empty(0, self.sentence.out_features, device=device)]
        for start in range(0, len(sentences), BATCH):
            rows = [torch.tensor([*sentence, END]) for sentence in sentences[start : start + BATCH]]
            parts.append(self.sentences(pad_sequence(rows, batch_first=True, padding_value=PAD).to(device)))
        return torch.cat(parts)


class AttentivePooling(nn.Module):
    """Items pooled to one vector by learned weights, as many sets of them as there are heads (Lin et al. 2017,
    section 2.1); each head weighs its own share of the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.energy = nn.Linear(width, heads)

    def forward(self, items: Tensor, real: Tensor | None = None) -> Tensor:
        """N x W from N x T x W items, of which, where it is given, N x T `real` says which there are."""
        energy = self.energy(items).float()
        if real is not None:
            energy = energy.masked_fill(~real.unsqueeze(-1), -torch.inf)
        weights = energy.softmax(1).to(items.dtype)
        shares = items.unflatten(-1, (weights.shape[-1], -1))
        pooled: Tensor = (weights.unsqueeze(-1) * shares).sum(1)
        return pooled.flatten(1)


def build_matcher(settings: Mapping[str, object], region_width: int, vocabulary_size: int) -> Matcher:
    """Builds the matcher that `settings` describe for regions of width D = `region_width` and V words.

    Raises:
        UsageError: for an unknown option or a value of the wrong type or range, and for options that do not go
            together.
    """
    config = build(MatcherConfig, settings, "matcher")
    try:
        return Matcher(config, region_width, vocabulary_size)
    except ValueError as error:
        raise UsageError(f"matcher: {error}") from None
