"""Recipes from TOML, checked as a whole before anything slow begins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from capcli.decoding.options import OF_LANGUAGE_MODELS
from capcli.errors import UsageError, system_reason
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder, decoder_config
from capcli.model.encoder import check_name
from capcli.model.matcher import build_matcher
from capcli.options import build, one_of
from capcli.training.objectives.cross_entropy import TeacherForcingStage
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe, StageRecipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIRST_OBJECTIVE = "cross-entropy"
"""The objective of a stage that names none."""


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
        raise UsageError(f"{path}: cannot read the recipe ({system_reason(error)})") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, and of numbers without end
        raise UsageError(f"{path}: not a TOML recipe: {error}") from None
    try:
        return build_recipe(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def build_recipe(values: Mapping[str, Any]) -> Recipe:
    """Builds a recipe from parsed TOML; raises UsageError as `read_recipe` does."""
    stages = values.get("stage", [{}])
    if not isinstance(stages, (list, tuple)):
        raise UsageError("stages are written [[stage]]")
    built = [build_stage(stage, f"stage {number}") for number, stage in enumerate(stages, 1)]
    recipe = build(Recipe, {**values, "stage": built})
    check_recipe(recipe)
    return recipe


def build_stage(values: Mapping[str, Any], where: str) -> StageRecipe:
    """Builds a stage of the kind that its objective asks for from one `[[stage]]`.

    Args:
        values: the options of every stage and the objective's own, beside each other.
        where: what messages begin with, such as "stage 2".

    Raises:
        UsageError: as `capcli.options.build` does; for an option of other objectives these are named.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} must be a table, not {values!r}")
    known = objectives()
    name = values.get("objective", FIRST_OBJECTIVE)
    one_of(f"{where}: objective", name, known)
    for key in values:
        owners = [other for other, objective in known.items() if key in {f.name for f in fields(objective.settings)}]
        if owners and name not in owners:
            raise UsageError(f"{where}: {key} is an option of {', '.join(owners)}, not of {name}")
    return build(known[name].settings, values, where)


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError where parts of a recipe contradict each other."""
    longest = max(recipe.data.max_length, recipe.decoding.max_length)
    _, config = decoder_config(recipe.decoder)
    if longest > config.max_length:
        raise UsageError(f"a decoder of max_length {config.max_length} cannot say {longest} words")
    if not recipe.stage:
        raise UsageError("a recipe needs at least one [[stage]]")
    check_name(recipe.encoder.name)
    for key in OF_LANGUAGE_MODELS:
        if getattr(recipe.decoding, key):
            raise UsageError(f"[decoding] {key} is for a language model, and training has none; leave it out")
    with torch.device("meta"):
        decoder = build_decoder(recipe.decoder, 1, (1, 1), 1)
        if recipe.matcher is not None:
            build_matcher(recipe.matcher, 1, 1)
    if recipe.encoder.sees and all(stage.objective == "language" for stage in recipe.stage):
        raise UsageError(
            "objective 'language' alone makes a language model: set [encoder] name = 'none', or add a [[stage]] that "
            f"trains {recipe.encoder.name} or the decoder on pictures"
        )
    for number, stage in enumerate(recipe.stage, 1):
        try:
            _check_stage(stage, recipe, config.region_layers, decoder)
        except UsageError as error:
            raise UsageError(f"stage {number}: {error}") from None


def _check_stage(stage: StageRecipe, recipe: Recipe, region_layers: int, decoder: Decoder[Any]) -> None:
    """Raises UsageError where a stage does not fit the recipe that it is of."""
    name = recipe.decoder["name"]
    if stage.objective == "autoencoder" and not region_layers:
        raise UsageError(
            f"an autoencoder trains the region encoder, and the decoder {name} has region_layers = 0; set it to at "
            "least 1"
        )
    if not recipe.encoder.sees and stage.objective != "language":
        raise UsageError(
            f"a language model ([encoder] name = 'none') is trained by objective 'language', not {stage.objective!r}"
        )
    if not recipe.encoder.sees and stage.features != "cached":
        raise UsageError("a language model sees no pictures; leave features out")
    if isinstance(stage, TeacherForcingStage) and stage.doubly_stochastic and decoder.heads == (0, 0):
        raise UsageError(
            f"doubly_stochastic is a penalty on attention, and the decoder {name} has none; leave it out, or take "
            "another decoder, such as lstm"
        )
