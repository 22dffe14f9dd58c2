"""Tables of the options of capcli's commands, made from the command line itself; `cog` puts them into the documents.

A page has a table between two comments, which `cog -r -I tests/helpers docs/*.md` fills and `--check` compares:

    <!-- [[[cog import option_tables; cog.out(option_tables.table("caption", "Pictures")) ]]] -->
    <!-- [[[end]]] -->
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typer.main import get_command
from typer.models import OptionInfo

from capcli.cli import app


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        names: all of them, the long one first.
        text: its help.
        values: what it takes, empty for a switch.
        default: what holds where it is not given, empty where nothing does.
        panel: title of the group that the help shows it in; empty for none.
    """

    names: tuple[str, ...]
    text: str
    values: str
    default: str
    panel: str


@functools.cache
def commands() -> dict[str, Any]:
    """Every command as Typer runs it, by its name; one of a group is called `models list`."""
    return dict(_walk(get_command(app), ""))


def options_of(command: str) -> list[Option]:
    """The options of a command, in the order of its help."""
    found = commands()[command]
    hints = get_type_hints(found.callback, include_extras=True)
    return [
        _describe(each, hints[each.name]) for each in found.params if each.opts[0].startswith("-") and not each.hidden
    ]


def table(command: str, *panels: str) -> str:
    """The options of a command as a table in Markdown: those of some panels of its help, or all.

    Raises:
        ValueError: for a panel that the command does not have.
    """
    options = options_of(command)
    if missing := set(panels) - {option.panel for option in options}:
        raise ValueError(f"{command} has no options titled {', '.join(sorted(missing))}")
    return tabulate([option for option in options if not panels or option.panel in panels])


def tabulate(options: Iterable[Option]) -> str:
    """A table in Markdown with a row for each option."""
    lines = ["| option | value | what it does | default |", "|---|---|---|---|"]
    for option in options:
        names = ", ".join(f"`{name}`" for name in option.names)
        cells = (names, option.values, mark_up(option.text), mark_up(option.default))
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def mark_up(text: str) -> str:
    """A help text as Markdown: options become code, and nothing else in it means anything to Markdown."""
    parts = re.split(r"(`[^`]*`|(?<![\w-])--[a-z][a-z-]*)", text.replace("\\[", "["))
    plain = [re.sub(r"([\\*_<\[\]])", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part.strip('`')}`" for part in parts[1::2]]
    mixed = "".join(a + b for a, b in zip(plain, [*code, ""], strict=True))
    return mixed.replace("|", "\\|")


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, each in inner.items():
        yield from _walk(each, f"{name} {word}".strip())


def _describe(parameter: Any, annotated: Any) -> Option:
    kind, info = get_args(annotated)[:2]
    default = "required" if parameter.required else ""
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    elif parameter.show_default and parameter.default not in (None, False):
        default = str(parameter.default)
    names = tuple(sorted(parameter.opts, key=len, reverse=True))
    return Option(names, parameter.help or "", _values(info, _scalar(kind)), default, parameter.rich_help_panel or "")


def _values(info: OptionInfo, kind: type) -> str:
    if kind is bool:
        return ""
    if info.metavar:
        # Choices have small letters, and names of things that the user has have large ones.
        return ", ".join(f"`{choice}`" for choice in info.metavar.split("|"))
    if info.min is not None and info.max is not None:
        return f"{info.min:g} to {info.max:g}"
    if info.min is not None:
        return f"{info.min:g} or more"
    return {int: "a whole number", float: "a number", Path: "a path"}.get(kind, "text")


def _scalar(kind: Any) -> type:
    """The type of one value of an option: of `list[Path] | None` it is Path."""
    while get_origin(kind) is not None:
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind
