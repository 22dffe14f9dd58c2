"""Recipes from TOML, fitted to the model that training goes on from and checked before anything slow begins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from capcli.errors import UsageError, system_reason
from capcli.modelfile.checkpoint import Checkpoint
from capcli.options import build, check_choice
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.recipe_check import fit_recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIRST_OBJECTIVE = "cross-entropy"
"""The objective of a stage that names none."""


def read_recipe(path: str | Path, start: Checkpoint | None = None) -> Recipe:
    """Reads and checks a TOML recipe.

    Args:
        path: of the file.
        start: the model that training goes on from; what it decides takes the place of what the recipe says.

    Raises:
        UsageError: if the file is missing or no TOML, a key is unknown (near ones are named), a value has the
            wrong type or range, choices contradict each other, or the recipe does not fit the model.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the recipe ({system_reason(error)})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a TOML recipe: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # of TOML, and of numbers without end
        raise UsageError(f"{path}: not a TOML recipe: {error}") from None
    try:
        return build_recipe(values, start)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def build_recipe(values: Mapping[str, Any], start: Checkpoint | None = None) -> Recipe:
    """Builds a recipe from parsed TOML, for a model to go on from or a new one; raises UsageError as `read_recipe`."""
    stages = values.get("stage", [{}])
    if not isinstance(stages, (list, tuple)):
        raise UsageError("stages are written [[stage]]")
    built = [build_stage(stage, f"stage {number}") for number, stage in enumerate(stages, 1)]
    return fit_recipe(build(Recipe, {**values, "stage": built}), start)


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
    check_choice(f"{where}: objective", name, known)
    for key in values:
        owners = [other for other, objective in known.items() if key in {f.name for f in fields(objective.settings)}]
        if owners and name not in owners:
            raise UsageError(f"{where}: {key} is an option of {', '.join(owners)}, not of {name}")
    return build(known[name].settings, values, where)
