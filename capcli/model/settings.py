"""Options of a part of a model, as recipes and model files hold them, checked before anything is built."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from capcli.errors import UsageError
from capcli.options import one_of

Config = TypeVar("Config")

LARGEST_OPTION = 65536


def checked(part: str, kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """The config object of a part of a model.

    Args:
        part: what messages call it.
        kind: a dataclass. Whole numbers are 1 to `LARGEST_OPTION` and others 0 to 1, unless a field's metadata hold
            "min" and "max", or "choices".
        settings: options by name; those that are left out keep their defaults.

    Raises:
        UsageError: for an unknown option, near names listed, or a value of the wrong type or range.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, value in settings.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 3) or sorted(fields)
            raise UsageError(f"{part} has no option {key!r}; near it: {', '.join(near)}")
        if choices := fields[key].metadata.get("choices"):
            one_of(f"{part}: {key}", value if isinstance(value, str) else repr(value), choices)
            continue
        share = fields[key].type == "float"
        least = fields[key].metadata.get("min", 0 if share else 1)
        most = fields[key].metadata.get("max", 1 if share else LARGEST_OPTION)
        number = not isinstance(value, bool) and isinstance(value, (int, float) if share else int)
        if not number or not least <= value <= most:
            kind_of = "a number" if share else "a whole number"
            raise UsageError(f"{part}: {key} must be {kind_of} from {least} to {most}, not {value!r}")
    return kind(**settings)
