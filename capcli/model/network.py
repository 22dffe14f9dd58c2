"""A captioning model: an encoder, a decoder and the words between which it chooses; a language model sees nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from torch import Tensor, nn

from capcli.model.decoders.registry import build_decoder
from capcli.model.encoder import EncoderConfig
from capcli.model.encoder_blind import build_encoder
from capcli.model.matcher import Matcher, build_matcher
from capcli.words.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a model but its weights: a model is data.

    Attributes:
        encoder: the encoder's config.
        decoder: the decoder's name and options, as in a recipe's `[decoder]`.
        matcher: the matcher's options, as in a recipe's `[matcher]`; None for a model without one.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: dict[str, object] = field(default_factory=lambda: {"name": "transformer"})
    matcher: dict[str, object] | None = None

    def to_json(self) -> dict[str, object]:
        """The config as plain values."""
        beside = {} if self.matcher is None else {"matcher": dict(self.matcher)}
        return {"encoder": dataclasses.asdict(self.encoder), "decoder": dict(self.decoder), **beside}


class CaptioningModel(nn.Module):
    """Encoder and decoder with their vocabulary, and a matcher where the config has one."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.encoder = build_encoder(config.encoder)
        self.decoder = build_decoder(config.decoder, self.encoder.width, self.encoder.grid, len(vocabulary))
        self.matcher: Matcher | None = None
        if config.matcher is not None:
            self.add_matcher(config.matcher)

    def add_matcher(self, settings: dict[str, object]) -> None:
        """Gives the model a matcher with random weights; raises UsageError as `build_matcher` does."""
        self.matcher = build_matcher(settings, self.encoder.width, len(self.vocabulary))
        self.config = dataclasses.replace(self.config, matcher=dict(settings))

    def drop_matcher(self) -> None:
        """Takes the model's matcher away, if it has one."""
        self.matcher = None
        self.config = dataclasses.replace(self.config, matcher=None)

    def forward(self, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing from B x 3 x S x S pictures and N x T words; see `Decoder.forward`."""
        output: tuple[Tensor, Tensor | None] = self.decoder(self.encoder(images), captions)
        return output
