"""Options: fields of frozen dataclasses that know their help, range and choices, and the one checker of their values.

The command line, the API, recipes and model files all describe their settings so, and have them checked here.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from capcli.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")
_T = TypeVar("_T")

LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that a tensor holds."""

LARGEST = 1e100
"""No other number of use is larger."""

_SCALARS: dict[object, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    Path: (Path, "a path"),
    dict: (Mapping, "a table"),
}
"""What a field of a type takes, and how messages call that."""


def option(
    default: _T,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    choices: Collection[str] | None = None,
    flag: str | None = None,
    metavar: str | None = None,
    shown: str | None = None,
    large: bool = False,
) -> _T:
    """A field of an options dataclass; `check` holds its value against what is said here.

    To a type checker it is its default, as it is to `dataclasses.field`, and so must be of the field's type.

    Args:
        default: its value where nothing else is asked for.
        text: its help, one line.
        least: the smallest number that it takes.
        above: a number that it does not reach from above, in the place of `least`.
        most: the largest number that it takes.
        below: a number that it does not reach from below, in the place of `most`.
        choices: the texts that it takes.
        flag: its short name on the command line, such as `-r`.
        metavar: how the help calls its value.
        shown: what the help says of its default, where that is not the same for all.
        large: whether it may be a whole number larger than a tensor holds, as a seed may.
    """
    metadata = {"help": text, "min": least, "above": above, "max": most, "below": below, "choices": choices}
    metadata |= {"flag": flag, "metavar": metavar, "shown": shown, "large": large}
    return dataclasses.field(default=default, metadata=metadata)


def describe(field: dataclasses.Field[Any]) -> str:
    """The help of a field on one line, with its choices or its range and its default."""
    metadata, default = field.metadata, field.default
    facts = [", ".join(metadata["choices"])] if metadata["choices"] else []
    # That a count is not below 0 needs no words.
    if metadata["above"] is not None or metadata["max"] is not None or metadata["min"]:
        facts.append(_range(metadata).strip().removeprefix("from "))
    if metadata["shown"] or not (isinstance(default, bool) or default in (None, (), "")):
        facts.append(f"default {metadata['shown'] or (_number(default) if isinstance(default, float) else default)}")
    return f"{metadata['help']} ({'; '.join(facts)})" if facts else str(metadata["help"])


def spell(name: str) -> str:
    """The name of an option as users write it: `batch-size` for the field `batch_size`, `as` for `as_`."""
    return name.rstrip("_").replace("_", "-")


def flag_of(name: str) -> str:
    """The option of a field on the command line: `--batch-size` for `batch_size`."""
    return f"--{spell(name)}"


def build(kind: type[Kind], values: Mapping[str, Any], where: str = "") -> Kind:
    """An options object from plain values, as TOML, JSON and keywords hold them.

    A table becomes the dataclass that its field asks for, a list a tuple, and a whole number stands for another one.

    Args:
        kind: a dataclass that has its values checked by `check`.
        values: its options by name; those that are left out keep their defaults.
        where: what messages begin with, such as "stage 2".

    Raises:
        UsageError: for an unknown name, near ones listed; for a value of the wrong type or outside its range; and
            whatever `kind` itself refuses.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} must be a table, not {_shown(values)}")
    hints = _hints(kind)
    for name in values:
        if name not in hints:
            unknown = f"{where} has no option {name!r}" if where else f"no option is called {name!r}"
            raise UsageError(f"{unknown}; near it: {', '.join(near_names(name, hints) or hints)}")
    built = {name: _built(hints[name], value, name) for name, value in values.items()}
    try:
        return kind(**built)
    except UsageError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None


def check(options: DataclassInstance) -> None:
    """Raises UsageError unless every value of an options dataclass is of its field's type, range and choices.

    Dataclasses call it from `__post_init__`, so that no object of theirs holds anything else.
    """
    for name, hint in _hints(type(options)).items():
        field: dataclasses.Field[Any] = options.__dataclass_fields__[name]
        _check_value(name.rstrip("_"), getattr(options, name), hint, field.metadata)


def check_choice(name: str, value: str | None, known: Iterable[str]) -> None:
    """Raises UsageError for a value that is none of those known; None is no value and is let through."""
    if value is not None:
        _require_known(name, value, known)


def _require_known(name: str, value: object, known: Iterable[str]) -> None:
    if value not in (known := list(known)):
        near = near_names(value, known, 1) if isinstance(value, str) else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{name} must be one of {', '.join(known)}, not {_shown(value)}{hint}")


def near_names(name: object, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of the known names that `name` may be a slip for, the likeliest first."""
    return difflib.get_close_matches(str(name), list(known), count)


@cache
def _hints(kind: type[DataclassInstance]) -> Mapping[str, Any]:
    """Types of the fields that an object is made of."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _built(hint: Any, value: Any, name: str) -> object:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and not isinstance(value, hint):
        return build(hint, value, f"[{name}]")
    if isinstance(value, list):
        return tuple(_built(_element(hint), item, name) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return float(value)
    return value


def _element(hint: Any) -> Any:
    """The type of what a tuple holds; any type where `hint` is of something else."""
    return get_args(hint)[0] if get_origin(hint) is tuple else Any


def _check_value(name: str, value: object, hint: Any, metadata: Mapping[str, Any]) -> None:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return
        (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        _check_tuple(name, value, hint, metadata)
        return
    if metadata.get("choices"):
        _require_known(name, value, metadata["choices"])
        return
    accepted, wanted = _SCALARS.get(get_origin(hint) or hint, (hint, "a table"))
    # True is a whole number to Python, but nobody means a width of True.
    if not isinstance(value, accepted) or isinstance(value, bool) != (hint is bool):
        raise UsageError(f"{name} must be {wanted}{_range(metadata)}, not {_shown(value)}")
    if hint in (int, float) and isinstance(value, Real):
        largest = LARGEST_WHOLE if hint is int and not metadata.get("large") else LARGEST
        _check_number(name, value, largest, wanted, metadata)


def _check_tuple(name: str, value: object, hint: Any, metadata: Mapping[str, Any]) -> None:
    kinds = get_args(hint)
    count = None if kinds[-1] is Ellipsis else len(kinds)
    if not isinstance(value, tuple) or (count is not None and len(value) != count):
        noun = {str: "names", Path: "paths"}.get(kinds[0], "numbers")
        raise UsageError(f"{name} must be a list of {f'{count} ' if count else ''}{noun}, not {_shown(value)}")
    for item in value:
        _check_value(f"each of {name}", item, kinds[0], metadata)


def _check_number(name: str, value: Real, largest: float, wanted: str, metadata: Mapping[str, Any]) -> None:
    number = int(value) if isinstance(value, Integral) else float(value)  # of numpy, too
    if abs(number) > largest:
        raise UsageError(f"{name} is beyond {largest:.3g}, larger than any number of use")
    least, above, most, below = (metadata.get(end) for end in ("min", "above", "max", "below"))
    fits = (
        number == number  # what is no number is not even itself
        and (least is None or number >= least)
        and (above is None or number > above)
        and (most is None or number <= most)
        and (below is None or number < below)
    )
    if not fits:
        raise UsageError(f"{name} must be {wanted}{_range(metadata)}, not {_shown(number)}")


def _range(metadata: Mapping[str, Any]) -> str:
    """The range of a number as messages say it, with a space in front; empty where there is none."""
    least, above, most, below = (metadata.get(end) for end in ("min", "above", "max", "below"))
    lower = "" if above is None else f"above {_number(above)}"
    upper = "" if below is None else f"below {_number(below)}"
    if least is not None:
        end = _number(most) if most is not None else upper
        return f" from {_number(least)} to {end}" if end else f" of at least {_number(least)}"
    if most is not None:
        upper = f"at most {_number(most)}" if lower else f"of at most {_number(most)}"
    return f" {lower}{' and ' if lower and upper else ''}{upper}" if lower or upper else ""


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _shown(value: object) -> str:
    """A value as messages show it, short enough for a line."""
    try:
        shown = repr(value)
    except ValueError:  # a whole number of thousands of digits
        shown = "so large a number"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
