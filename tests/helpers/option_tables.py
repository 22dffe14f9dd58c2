"""Tables of the options of capcli's commands, made from the command line itself; `cog` puts them into the documents.

A page has a table between two comments, which `cog -r -I tests/helpers docs/*.md` fills and `--check` compares:

    <!-- [[[cog import option_tables; cog.out(option_tables.table("caption", "Pictures")) ]]] -->
    <!-- [[[end]]] -->
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from typer.main import get_command

from capcli.cli import app


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        names: all of them, the short one first.
        value: what its value is called, empty for a switch.
        text: what its help says, with choices, range and default.
        group: title of the group that the help shows it in.
    """

    names: tuple[str, ...]
    value: str
    text: str
    group: str = field(compare=False)


@functools.cache
def commands() -> dict[str, Any]:
    """Every command as Typer runs it, by its name; one of a group is called `models list`."""
    return dict(_walk(get_command(app), ""))


def options_of(command: str) -> list[Option]:
    """The options of a command, in the order of its help."""
    found = [
        option for option in commands()[command].params if option.param_type_name == "option" and not option.hidden
    ]
    return [
        Option(
            tuple(sorted(option.opts, key=len)),
            "" if option.is_flag else option.metavar or "VALUE",
            _describe(option),
            option.rich_help_panel or "Options",
        )
        for option in found
    ]


def table(command: str, *groups: str) -> str:
    """The options of a command as a table in Markdown: those of some groups of its help, or all.

    Raises:
        ValueError: for a group that the command does not have.
    """
    options = options_of(command)
    if missing := set(groups) - {option.group for option in options}:
        raise ValueError(f"{command} has no options titled {', '.join(sorted(missing))}")
    lines = ["| option | what it does |", "|---|---|"]
    for option in options:
        if not groups or option.group in groups:
            *short, name = option.names
            value = option.value.replace("|", "\\|")
            names = ", ".join(f"`{spelling}`" for spelling in [*short, f"{name} {value}".strip()])
            lines.append(f"| {names} | {mark_up(option.text)} |")
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
    for word, subcommand in inner.items():
        yield from _walk(subcommand, f"{name} {word}".strip())


def _describe(option: Any) -> str:
    """The help of an option, and its default where that does not stand in the help."""
    if option.required:
        return f"{option.help} (required)"
    shown, default = option.show_default, option.default
    if not isinstance(shown, str):
        shown = str(default) if shown and default not in (None, False) else ""
    return f"{option.help} (default {shown})" if shown else option.help
