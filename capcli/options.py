"""Options that the command line and the API share: fields of frozen dataclasses that know their help and range."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from capcli.errors import UsageError


def option(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    flag: str | None = None,
    metavar: str | None = None,
    shown: str | None = None,
) -> Any:
    """A field of an options dataclass.

    Args:
        default: its value where nothing else is asked for.
        text: its help, one line.
        least: the smallest number that it takes.
        most: the largest number that it takes.
        flag: its short name on the command line, such as `-r`.
        metavar: how the help calls its value.
        shown: what the help says of its default, where that is not the same for all.
    """
    metadata = {"help": text, "min": least, "max": most, "flag": flag, "metavar": metavar, "shown": shown}
    return dataclasses.field(default=default, metadata=metadata)


def spell(name: str) -> str:
    """The name of an option as users write it: `batch-size` for the field `batch_size`, `as` for `as_`."""
    return name.rstrip("_").replace("_", "-")


def flag_of(name: str) -> str:
    """The option of a field on the command line: `--batch-size` for `batch_size`."""
    return f"--{spell(name)}"


def one_of(name: str, value: str | None, known: Iterable[str]) -> None:
    """Raises UsageError for a value that is none of those known; None is no value and is let through."""
    if value is not None and value not in (known := list(known)):
        near = difflib.get_close_matches(value, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}{hint}")
