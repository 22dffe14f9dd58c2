"""Help that fits on a screen: what is asked for most comes first, the rest in named groups.

Typer's own draws boxes by rich, whose import takes longer than all else that `capcli --help` does. Contexts and
parameters are of click, which newer Typer has under a private name; so no type can name them here.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from typer.core import TyperCommand, TyperGroup

from capcli.errors import UsageError

_WIDEST = 100
_COLUMN = 28
"""Where the second column begins; a longer name has a line of its own."""

Rows = list[tuple[str, str]]


class PlainCommand(TyperCommand):
    """A command with such help. It refuses an option that is given twice where only one can hold."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        order: list[Any] = self.make_parser(ctx).parse_args(args=list(args))[2]
        for parameter in dict.fromkeys(order):
            once = parameter.param_type_name == "option" and not (parameter.multiple or parameter.is_flag)
            times, name = order.count(parameter), max(parameter.opts, key=len)
            if once and times > 1:
                raise UsageError(f"{name} is given {times} times, and takes one value")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_help(ctx, {}))


class PlainGroup(TyperGroup):
    """A group of commands with such help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands: dict[str, Rows] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                title = getattr(command, "rich_help_panel", None) or "Commands"
                commands.setdefault(str(title), []).append((name, summary(command.help or "")))
        formatter.write(_help(ctx, commands))


def summary(text: str) -> str:
    """The first clause of a command's help."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"[:;?.](?:\s|$)", first)[0]


def _help(ctx: Any, commands: Mapping[str, Rows]) -> str:
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    command = ctx.command
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    parts = ["\n".join(textwrap.wrap(f"Usage: {_usage(ctx)}", width, subsequent_indent=" " * 7))]
    parts += ["\n".join(textwrap.wrap(part, width)) for part in paragraphs if part]
    groups: dict[str, Rows] = {}
    for parameter in command.get_params(ctx):
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            groups.setdefault("Arguments", []).append((_metavar(parameter), _description(parameter)))
        else:
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            groups.setdefault(title, []).append((_names(parameter), _description(parameter)))
    first: dict[str, Rows] = {title: groups.pop(title) for title in ("Arguments", "Options") if title in groups}
    # Of a group the commands are what is looked for.
    ordered: dict[str, Rows] = {**commands, **first, **groups}
    for title, rows in ordered.items():
        parts.append("\n".join([f"{title}:", *_table(rows, width)]))
    return "\n\n".join(parts) + "\n"


def _usage(ctx: Any) -> str:
    pieces = [ctx.command_path, "[OPTIONS]"]
    for parameter in ctx.command.params:
        if parameter.param_type_name == "argument":
            name = _metavar(parameter)
            pieces.append(f"{name if parameter.required else f'[{name}]'}{'' if parameter.nargs == 1 else '...'}")
    return " ".join([*pieces, *(["COMMAND"] if hasattr(ctx.command, "list_commands") else [])])


def _table(rows: Iterable[tuple[str, str]], width: int) -> Iterable[str]:
    rows = list(rows)
    column = min(_COLUMN, max(len(name) for name, _ in rows) + 4)
    for name, text in rows:
        lines = textwrap.wrap(text, max(20, width - column)) or [""]
        head = f"  {name}"
        if len(head) + 2 > column:
            yield head
        else:
            yield f"{head:<{column}}{lines.pop(0)}".rstrip()
        yield from (f"{'':<{column}}{line}" for line in lines)


def _names(option: Any) -> str:
    """The names of an option, the short one first, and what its value is called."""
    short = [name for name in option.opts if not name.startswith("--")]
    names = ", ".join([*short, *(name for name in option.opts if name.startswith("--"))])
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return f"{names if short else f'    {names}'}{value}"


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _description(parameter: Any) -> str:
    """The help of a parameter, with a default that it does not name itself."""
    text, shown = " ".join((parameter.help or "").split()), parameter.show_default
    if parameter.required:
        return text if parameter.param_type_name == "argument" else f"{text} (required)"
    if isinstance(shown, str):
        return f"{text} (default {shown})"
    return f"{text} (default {parameter.default})" if shown and parameter.default not in (None, False, (), []) else text
