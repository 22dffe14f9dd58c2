"""Figures on a terminal: a table, plain where it goes into a pipe."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from capcli.evaluation.comparison import Comparison
from capcli.evaluation.report import Report, titled
from capcli.output.text import escape

if TYPE_CHECKING:
    from rich.table import Table

# Nothing is cut or folded where no terminal gives a width.
_PIPE_WIDTH = 400


def figure(name: str, value: float) -> str:
    """A metric's value as papers and people write it; ratios as the toolkit prints them, 0.252 for 25.2."""
    if name == "vocabulary":
        return f"{value:,.0f}"
    return f"{value:.1f}" if name == "length" else f"{value:.3f}"


def interval(name: str, low: float | None, high: float | None) -> str:
    """Both ends; empty where there are none."""
    return "" if low is None or high is None else f"{figure(name, low)} to {figure(name, high)}"


def print_report(report: Report) -> None:
    """Prints the scores to stdout."""
    table = _table("metric", "value", "95 % interval", *(["a person scores"] if report.human else []))
    for name, score in report.scores.metrics.items():
        if score.value is None:
            table.add_row(name, "-", score.why)
            continue
        cells = [name, figure(name, score.value), interval(name, score.low, score.high) or score.why]
        if report.human:
            value = report.human.metrics[name].value
            cells.append("-" if value is None else figure(name, value))
        table.add_row(*cells)
    _print(report.title, table)


def print_comparison(comparison: Comparison) -> None:
    """Prints the differences to stdout."""
    table = _table("metric", "A", "B", "B - A", "95 % interval", "p")
    for name, a, b, difference in comparison.rows():
        table.add_row(
            name,
            figure(name, a),
            figure(name, b),
            f"{'+' if difference.value > 0 else ''}{figure(name, difference.value)}",
            interval(name, difference.low, difference.high),
            f"{difference.p:.3f}",
        )
    _print(titled(comparison.references, len(comparison.a.pairs)), table)


def _table(*columns: str) -> Table:
    from rich.table import Table

    # Without rules it is the same bytes in every encoding, and columns for awk.
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("value", "A", "B", "B - A", "p") else "left")
    return table


def _print(title: str, table: Table) -> None:
    from rich.console import Console
    from rich.text import Text

    title = escape(title)
    console = Console()
    if console.is_terminal:
        console.print(Text(title, style="bold"))
        console.print(table)
        return
    plain = Console(file=io.StringIO(), width=_PIPE_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(table)
    lines = (line.rstrip() for line in captured.get().splitlines())
    print(title, *lines, sep="\n")
