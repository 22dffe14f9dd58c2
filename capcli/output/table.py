"""Tables for a terminal, plain where they go into a pipe."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Nothing is cut or folded where no terminal gives a width.
PIPE_WIDTH = 400


def new_table(columns: Sequence[str], numbers: Collection[str]) -> Table:
    """A table without rows, nor a line of headings if they are all empty.

    Args:
        columns: their headings.
        numbers: those of them that are aligned to the right.
    """
    # Without rules it is the same bytes in every encoding, and columns for awk.
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(Text(column), justify="right" if column in numbers else "left")
    return table


def print_table(title: str, table: Table, footnotes: Sequence[str] = (), console: Console | None = None) -> None:
    """Prints a table to stdout, its title above it unless that is empty, and footnotes below.

    Nothing of it may steer a terminal, see `capcli.files.names.escape`. `console` is by default stdout's own.
    """
    console = console or Console()
    if console.is_terminal:
        if title:
            console.print(Text(title, style="bold"))
        console.print(table)
        if footnotes:
            console.print()
        for note in footnotes:
            console.print(Text(note, style="dim"))
        return
    plain = Console(file=io.StringIO(), width=PIPE_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(table)
    lines = (line.rstrip() for line in captured.get().splitlines())
    print(*([title] if title else []), *lines, *(["", *footnotes] if footnotes else []), sep="\n")
