"""Models with random weights, as the fixtures of `tests/conftest.py` build them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from capcli.decoding.options import DecodingOptions
from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.words.vocabulary import SPECIALS, Vocabulary

WORDS = ("a", "dog", "runs", "on", "the", "grass", "'s", "ball")

Settings = Callable[..., dict[str, Any]]
Shake = Callable[[torch.nn.Module], torch.nn.Module]


def tiny_captioner(
    encoder: EncoderConfig, settings: Settings, shake: Shake, decoder: str = "transformer", **options: Any
) -> Checkpoint:
    """A whole model of eight words.

    Args:
        encoder: what it sees by.
        settings: gives the settings of a decoder by its name and `options`.
        shake: gives the decoder its weights.
        decoder: its name.
        options: of the decoder.
    """
    torch.manual_seed(0)
    config = ModelConfig(encoder, settings(decoder, **options))
    model = CaptioningModel(config, Vocabulary([*SPECIALS, *WORDS])).eval()
    shake(model.decoder)
    recipe = {"name": "tiny", "stage": [{"epochs": 2}]}
    decoding = DecodingOptions(beam_size=2, max_length=6, length_penalty=0.5)
    return Checkpoint(model, decoding, recipe, {"dev flickr8k": {"CIDEr-D": 0.5}})


def tiny_language_model(
    settings: Settings, shake: Shake, words: Sequence[str], decoder: str = "inject", **options: Any
) -> Checkpoint:
    """A language model of these words; see `tiny_captioner`."""
    config = ModelConfig(EncoderConfig("none"), settings(decoder, **options))
    model = CaptioningModel(config, Vocabulary([*SPECIALS, *words])).eval()
    shake(model.decoder)
    return Checkpoint(model, DecodingOptions(max_length=options.get("max_length", 20)))
