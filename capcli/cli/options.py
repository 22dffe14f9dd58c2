"""Command-line options made from the option dataclasses, so that each has one definition."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from capcli.cli.messages import hush
from capcli.decoding.options import MOST_WORDS, DecodingKeywords, DecodingOptions
from capcli.options import describe, flag_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_VALUES = {int: "N", float: "X", int | None: "N", float | None: "X", str: "TEXT", str | None: "TEXT"}
"""What the help calls a value of a type where the option has no better name for it."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Options of one dataclass on the command line.

    Attributes:
        options: the dataclass; its fields' metadata hold help, range, short name and name of the value.
        title: of the group in the help.
        common: names of the fields that the help shows first, outside of the group.
        without: names of fields that the command does not offer.
    """

    options: type[DataclassInstance]
    title: str
    common: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def fields(self) -> list[dataclasses.Field[Any]]:
        """Those of the options that the command offers."""
        return [field for field in dataclasses.fields(self.options) if field.name not in self.without]


def takes(**groups: Group) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option for every field of some dataclasses, and --quiet.

    Under the name of each group the command gets those of its options that the user set, as a dict.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        parameters = [
            own.replace(annotation=hints[own.name])
            for own in inspect.signature(command).parameters.values()
            if own.name not in groups
        ]
        parameters += [_parameter(group, field) for group in groups.values() for field in group.fields]

        parameters.append(inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet))

        @functools.wraps(command)
        def called(**values: Any) -> None:
            hush(values.pop("quiet"))
            chosen = {}
            for name, group in groups.items():
                given = {field.name: _fold(values.pop(field.name), field) for field in group.fields}
                chosen[name] = {key: value for key, value in given.items() if not _is_unset(value)}
            command(**values, **chosen)

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate


Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing on stderr but what goes wrong: no progress, no summary."),
]
"""For commands that report their progress; `takes` gives it to all."""


def path(name: str) -> Path:
    """The path of a name; raises BadParameter for an empty one, which `Path` would take for the current folder."""
    if not name:
        raise typer.BadParameter("an empty name is no path")
    return Path(name)


def check_decoding(decoding: DecodingKeywords) -> None:
    """Raises UsageError for options of captions that contradict each other whatever the model's own are."""
    DecodingOptions(max_length=MOST_WORDS).replace(**decoding)


def _completer(choices: Collection[str]) -> Callable[[str], list[str]]:
    """What a shell offers for the beginning of a value; Typer knows the parameter by its name."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete.lower())]


def _fold(value: object, field: dataclasses.Field[Any]) -> object:
    """A value, or each of several, as the field's choices spell it; several are a tuple, as in the dataclasses."""
    if isinstance(value, (list, tuple)):
        return tuple(_fold(item, field) for item in value)
    choices = field.metadata["choices"] or ()
    return value.lower() if isinstance(value, str) and value.lower() in choices else value


def _is_unset(value: object) -> bool:
    # By identity, because 0 is a value that equals False.
    return value is None or value is False or value == ()


@functools.cache
def _types(options: type[DataclassInstance]) -> dict[str, Any]:
    """The types of its fields; several commands have the same options, and finding them out takes time."""
    return get_type_hints(options)


def _parameter(group: Group, field: dataclasses.Field[Any]) -> inspect.Parameter:
    metadata = field.metadata
    kind = _types(group.options)[field.name]
    option = typer.Option(
        flag_of(field.name),
        *([metadata["flag"]] if metadata["flag"] else []),
        help=describe(field),
        min=metadata["min"] if metadata["above"] is None else metadata["above"],
        max=metadata["max"],
        metavar=metadata["metavar"] or _VALUES.get(kind),
        show_default=False,
        rich_help_panel=None if field.name in group.common else group.title,
        parser=path if kind in (Path, Path | None) else None,
        autocompletion=_completer(metadata["choices"]) if metadata["choices"] else None,
    )
    taken: Any = list[str] if kind == tuple[str, ...] else kind
    if type(None) not in get_args(taken):
        taken = taken | None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[taken, option]
    )
