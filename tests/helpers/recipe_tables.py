"""Tables of the keys of recipes, made from the options that recipes are checked by; for `cog`, as `option_tables`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from option_tables import mark_up

from capcli.model.decoders.registry import decoders
from capcli.model.matcher_config import MatcherConfig
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import DataRecipe, EncoderRecipe, StageRecipe


def data() -> str:
    """The keys of `[data]`."""
    return _table({"": DataRecipe})


def encoder() -> str:
    """The keys of `[encoder]`."""
    return _table({"": EncoderRecipe})


def matcher() -> str:
    """The keys of `[matcher]`."""
    return _table({"": MatcherConfig})


def decoder() -> str:
    """The keys of `[decoder]`, and which decoders have them."""
    return _table({name: config for name, (config, _) in decoders().items()}, "decoder")


def stage() -> str:
    """The keys of `[[stage]]` that all objectives have."""
    return _table({"": StageRecipe})


def objective() -> str:
    """The keys of `[[stage]]` that some objectives have."""
    return _table({name: kind.settings for name, kind in objectives().items()}, "objective", besides=StageRecipe)


def _table(kinds: Mapping[str, type], title: str = "", besides: type | None = None) -> str:
    """A table in Markdown with a row for each key of some dataclasses; what several have alike is one row.

    Args:
        kinds: the dataclasses by what has their keys.
        title: of the column that says what has a key; empty for no such column.
        besides: a dataclass whose keys are left out.
    """
    known = {field.name for field in dataclasses.fields(besides)} if besides else set()
    holders: dict[tuple[str, ...], list[str]] = {}
    for holder, kind in kinds.items():
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.name not in known and "help" in field.metadata:
                holders.setdefault(_cells(field, hints[field.name]), []).append(holder)
    lines = []
    for (key, *cells), names in holders.items():
        which = "all" if len(names) == len(kinds) else ", ".join(f"`{name}`" for name in names)
        lines.append([key, *([which] if title else []), *cells])
    head = ["key", *([title] if title else []), "value", "what it does", "default"]
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *lines])


def _cells(field: dataclasses.Field[Any], hint: Any) -> tuple[str, ...]:
    return f"`{field.name}`", _values(field.metadata, hint), mark_up(field.metadata["help"]), _default(field.default)


def _values(metadata: Mapping[str, Any], hint: Any) -> str:
    if metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    least, above, most, below = (metadata[end] for end in ("min", "above", "max", "below"))
    lower = f"{least:g}" if least is not None else f"above {above:g}" if above is not None else ""
    upper = f"{most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    if lower or upper:
        return f"{lower} to {upper}" if lower and upper else f"{lower} or more" if least is not None else lower + upper
    if get_origin(hint) is tuple:
        return "a list"
    return {bool: "true, false", int: "a whole number", float: "a number", Path: "a path"}.get(hint, "text")


def _default(value: Any) -> str:
    """A default as TOML has it; empty for none."""
    if value in (None, dataclasses.MISSING):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, tuple)):
        return f'`"{value}"`' if isinstance(value, str) else f"`{list(value)}`"
    return f"{value:g}" if isinstance(value, float) else str(value)
