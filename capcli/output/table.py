"""Tables for a terminal, plain where they go into a pipe."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from capcli.files.names import printable

# Nothing is cut or folded where no terminal gives a width.
PIPE_WIDTH = 400


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    footnotes: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Prints a table to stdout.

    Nothing in it can steer a terminal, so callers hand over texts of strangers as they are: see `printable`.

    Args:
        title: above the table; none if it is empty.
        columns: their headings; there is no line of headings if all are empty.
        rows: for each column a cell.
        numbers: columns that are aligned to the right.
        footnotes: lines below the table.
        console: by default stdout's own.
    """
    console = console or Console()
    # Without rules it is the same bytes in every encoding, and columns for awk.
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(Text(shown(column)), justify="right" if column in numbers else "left")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    title, footnotes = shown(title), list(map(shown, footnotes))
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


def shown(text: str) -> str:
    """Text for stdout, which takes no undecodable bytes of names."""
    return printable(text.encode("utf-8", "replace").decode())
