"""Every decoder by its name in recipes, built from its settings: a new decoder is a new line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capcli.errors import UsageError
from capcli.model.decoders.adaptive import AdaptiveConfig, AdaptiveDecoder
from capcli.model.decoders.contract import Decoder, DecoderConfig
from capcli.model.decoders.encoded import EncodedDecoder
from capcli.model.decoders.merge import MergeConfig, MergeDecoder
from capcli.model.decoders.pooled import InjectConfig, InjectDecoder
from capcli.model.decoders.recurrent import GRUDecoder, LSTMDecoder, RecurrentConfig
from capcli.model.decoders.transformer import TransformerConfig, TransformerDecoder
from capcli.model.region_encoder import FrontConfig
from capcli.options import build


def decoders() -> dict[str, tuple[type[DecoderConfig], type[Decoder[Any]]]]:
    """Every decoder by its name in recipes: its config class and its module class."""
    return {
        "adaptive": (AdaptiveConfig, AdaptiveDecoder),
        "gru": (RecurrentConfig, GRUDecoder),
        "inject": (InjectConfig, InjectDecoder),
        "lstm": (RecurrentConfig, LSTMDecoder),
        "merge": (MergeConfig, MergeDecoder),
        "transformer": (TransformerConfig, TransformerDecoder),
    }


def decoder_config(settings: Mapping[str, object]) -> tuple[str, DecoderConfig]:
    """Checks `{"name": ..., option: value, ...}` and returns the name and the config object.

    Raises:
        UsageError: for an unknown name or option, near names listed, or a value of the wrong type or range.
    """
    settings = dict(settings)
    name = settings.pop("name", None)
    known = decoders()
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"no decoder named {name!r}; there are {', '.join(known)}")
    config_class = known[name][0]
    # Model files and recipes from before an option had another name still hold it.
    for key, former in getattr(config_class, "formerly", {}).items():
        if isinstance(settings.get(former), int):
            settings[key] = settings.pop(former)
    return name, build(config_class, settings, f"decoder {name}")


def build_decoder(
    settings: Mapping[str, object], region_width: int, grid: tuple[int, int], vocabulary_size: int
) -> Decoder[Any]:
    """Builds the decoder that `settings` describe for regions of width D = `region_width`, a region encoder in front
    of it where they ask for region layers.

    Args:
        settings: name and options, as `decoder_config` takes them.
        region_width: D.
        grid: rows and columns of the regions, R = rows * columns; region i is in row i // columns.
        vocabulary_size: V.

    Raises:
        UsageError: as `decoder_config` does, and for options that do not go together.
    """
    name, config = decoder_config(settings)
    kind = decoders()[name][1]
    try:
        if isinstance(config, FrontConfig) and config.region_layers:
            decoder = kind(config, config.region_width, grid, vocabulary_size)
            return EncodedDecoder(config, region_width, grid, decoder)
        return kind(config, region_width, grid, vocabulary_size)
    except ValueError as error:
        raise UsageError(f"decoder {name}: {error}") from None
