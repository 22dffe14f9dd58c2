"""Recipes from TOML, checked as a whole before anything slow begins."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from pathlib import Path
from typing import Any, get_type_hints

import torch

from capcli.decoding.options import OF_LANGUAGE_MODELS
from capcli.errors import UsageError
from capcli.model.decoders.registry import build_decoder, decoder_config
from capcli.model.encoder import LARGEST_INPUT, NONE, check_name
from capcli.model.matcher import build_matcher
from capcli.options import one_of
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe, StageRecipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST = (1e12, 1e100)
"""Of the whole and of the other numbers in a recipe."""


def read_recipe(path: str | Path) -> Recipe:
    """Reads and checks a TOML recipe.

    Raises:
        UsageError: if the file is missing or no TOML, a key is unknown (near ones are named), a value has the
            wrong type or range, or choices contradict each other.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the recipe ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, and of numbers without end
        raise UsageError(f"{path}: not a TOML recipe: {error}") from None
    try:
        return build_recipe(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def build_recipe(values: dict[str, Any]) -> Recipe:
    """Builds a recipe from parsed TOML; raises UsageError as `read_recipe` does."""
    recipe: Recipe = _build(Recipe, values, "")
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError for values out of range and choices that contradict each other."""
    longest = max(recipe.data.max_length, recipe.decoding.max_length)
    _, config = decoder_config(recipe.decoder)
    if longest > config.max_length:
        raise UsageError(f"a decoder of max_length {config.max_length} cannot say {longest} words")
    if not recipe.name or not recipe.name.isprintable() or Path(recipe.name).name != recipe.name:
        raise UsageError(f"name is that of a file, without its ending, not {recipe.name!r}")
    if not recipe.stage:
        raise UsageError("a recipe needs at least one [[stage]]")
    if not 0 <= recipe.data.hold_out < 1 or recipe.data.min_count < 1 or recipe.data.max_length < 1:
        raise UsageError("[data] needs hold_out from 0 to below 1, min_count and max_length of at least 1")
    if not 0 <= recipe.data.temperature <= 1:
        raise UsageError(f"[data] temperature must be 0 to 1, not {recipe.data.temperature}")
    if not 32 <= recipe.encoder.size <= LARGEST_INPUT:
        raise UsageError(f"[encoder] size must be 32 to {LARGEST_INPUT} pixels, not {recipe.encoder.size}")
    check_name(recipe.encoder.name)
    for key in OF_LANGUAGE_MODELS:
        if getattr(recipe.decoding, key):
            raise UsageError(f"[decoding] {key} is for a language model, and training has none; leave it out")
    with torch.device("meta"):
        decoder = build_decoder(recipe.decoder, 1, (1, 1), 1)
        if recipe.matcher is not None:
            build_matcher(recipe.matcher, 1, 1)
    if recipe.encoder.name != NONE and all(stage.objective == "language" for stage in recipe.stage):
        raise UsageError(
            "objective 'language' alone makes a language model: set [encoder] name = 'none', or add a [[stage]] that "
            f"trains {recipe.encoder.name} or the decoder on pictures"
        )
    for number, stage in enumerate(recipe.stage, 1):
        _check_stage(stage, f"stage {number}")
        if stage.objective == "autoencoder" and not config.region_layers:
            raise UsageError(
                f"stage {number}: an autoencoder trains the region encoder, and the decoder {recipe.decoder['name']} "
                "has region_layers = 0; set it to at least 1"
            )
        if recipe.encoder.name == NONE and stage.objective != "language":
            raise UsageError(
                f"stage {number}: a language model ([encoder] name = 'none') is trained by objective 'language', "
                f"not {stage.objective!r}"
            )
        if recipe.encoder.name == NONE and stage.features != "cached":
            raise UsageError(f"stage {number}: a language model sees no pictures; leave features out")
        if stage.doubly_stochastic and decoder.heads == (0, 0):
            raise UsageError(
                f"stage {number}: doubly_stochastic is a penalty on attention, and the decoder "
                f"{recipe.decoder['name']} has none; leave it out, or take another decoder, such as lstm"
            )


def _check_stage(stage: StageRecipe, name: str) -> None:
    known = objectives()
    one_of(f"{name}: objective", stage.objective, known)
    one_of(f"{name}: keep", stage.keep, ("best", "last"))
    if stage.features not in ("cached", "pictures"):
        raise UsageError(f"{name}: features must be 'cached' or 'pictures', not {stage.features!r}")
    if stage.train_from == 0 and stage.features == "cached":
        raise UsageError(f"{name}: an encoder that is trained whole (train_from = 0) needs features = 'pictures'")
    if stage.anchor and (stage.train_from < 1 or stage.features != "cached"):
        raise UsageError(f"{name}: anchor holds an encoder that is trained on cached features from block 1 or later on")
    if not 0 < stage.masked < 1:
        raise UsageError(f"{name}: masked must be above 0 and below 1")
    for key in ("epochs", "batch_size", "captions", "patience"):
        if getattr(stage, key) < 1:
            raise UsageError(f"{name}: {key} must be at least 1")
    for key in ("learning_rate", "discriminator_learning_rate", "clip", "temperature"):
        if not getattr(stage, key) > 0:
            raise UsageError(f"{name}: {key} must be above 0")
    for key in (
        "pictures", "views", "encoder_learning_rate", "final_learning_rate", "warmup", "weight_decay",
        "doubly_stochastic", "cross_entropy", "anchor",
    ):  # fmt: skip
        if not getattr(stage, key) >= 0:
            raise UsageError(f"{name}: {key} must be at least 0")
    for key in ("jitter", "sampling_probability", "cider"):
        if not 0 <= getattr(stage, key) <= 1:
            raise UsageError(f"{name}: {key} must be 0 to 1")
    if not 0 <= stage.word_dropout < 1:
        raise UsageError(f"{name}: word_dropout must be 0 to below 1")
    if not 0 <= stage.discriminator_pretraining < 1:
        raise UsageError(f"{name}: discriminator_pretraining must be 0 to below 1")
    if not 0 <= stage.average < 1 or not 0 < stage.crop <= 1 or not 0 <= stage.label_smoothing < 1:
        raise UsageError(f"{name}: needs 0 <= average < 1, 0 < crop <= 1 and 0 <= label_smoothing < 1")
    try:
        known[stage.objective].check(stage)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise UsageError(f"[{where}] must be a table")
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    built = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            near = difflib.get_close_matches(key, known, 3) or known
            raise UsageError(f"unknown key {place!r}; near it: {', '.join(near)}")
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            built[key] = _build(hint, value, place)  # type: ignore[arg-type]
        elif key == "stage":
            if not isinstance(value, (list, tuple)):
                raise UsageError("stages are written [[stage]]")
            built[key] = tuple(_build(StageRecipe, one, f"stage {i}") for i, one in enumerate(value, 1))
        elif hint in (int, float, str, bool):
            accepted = (int, float) if hint is float else (hint,)
            if isinstance(value, bool) != (hint is bool) or not isinstance(value, accepted):
                raise UsageError(f"{place} must be {hint.__name__}, not {value!r}")
            if not isinstance(value, str) and abs(value) > (largest := LARGEST[isinstance(value, float)]):
                raise UsageError(f"{place} is beyond {largest:g}, larger than any number of use")
            built[key] = hint(value)
        elif hint == tuple[str, ...]:
            if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
                raise UsageError(f"{place} must be a list of names, not {value!r}")
            built[key] = tuple(value)
        else:
            if not isinstance(value, dict):
                raise UsageError(f"[{place}] must be a table")
            built[key] = value
    return kind(**built)
