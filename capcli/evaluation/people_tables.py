"""What people said of captions as tables, on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from capcli.evaluation.people_report import PeopleReport
from capcli.evaluation.report import json_report
from capcli.evaluation.scores import Score
from capcli.output.html import render
from capcli.output.table import print_table, shown

NUMBERS = frozenset(
    (
        *("mean", "pictures", "ratings", "B - A", "p", "A better", "equal", "B better", "pictures A : B", "share of A"),
        *("Krippendorff's alpha", "judged twice", "raters", "tau-b", "tau-c", "Spearman", "Pearson", "captions"),
        *("agrees", "pairs"),
    )
)
"""Columns that are aligned to the right."""


@dataclass(frozen=True)
class Table:
    """Some of the figures as texts, for a terminal or a page."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def list_tables(report: PeopleReport) -> Iterator[Table]:
    """The figures that there are, a table for each kind."""
    if report.means:
        rows = [
            (one.system, one.scale, _shown(one.score), _spread(one.score), f"{one.pictures:,}", f"{one.ratings:,}")
            for one in report.means
        ]
        yield Table("Ratings, 1 to 5", ("system", "scale", "mean", "95 % interval", "pictures", "ratings"), rows)
    if report.gaps:
        gaps = [
            (one.a, one.b, one.scale, _shown(one.score, "+"), _spread(one.score, "+"), _p(one.p), f"{one.pictures:,}")
            for one in report.gaps
        ]
        yield Table("Differences", ("A", "B", "scale", "B - A", "95 % interval", "p", "pictures"), gaps)
    if report.preferences:
        answers = [
            (
                *(one.a, one.b, f"{one.for_a:,}", f"{one.even:,}", f"{one.for_b:,}"),
                *(f"{one.pictures_a:,} : {one.pictures_b:,}", _shown(one.score), _spread(one.score), _p(one.p)),
            )
            for one in report.preferences
        ]
        columns = ("A", "B", "A better", "equal", "B better", "pictures A : B", "share of A", "95 % interval", "p")
        yield Table("Preferences", columns, answers)
    if report.agreement:
        agreed = [
            (
                scale,
                "-" if one.alpha is None else f"{one.alpha:.3f}",
                f"{one.units:,}",
                f"{one.raters:,}",
                one.why or "",
            )
            for scale, one in report.agreement.items()
        ]
        yield Table("Agreement of raters", ("scale", "Krippendorff's alpha", "judged twice", "raters", "note"), agreed)
    yield from _list_along(report)


def _list_along(report: PeopleReport) -> Iterator[Table]:
    graded = [one for one in report.along if "tau-b" in one.scores]
    if graded:
        rows = [
            (
                *(one.metric, one.scale, _shown(one.scores["tau-b"]), _spread(one.scores["tau-b"])),
                *(_shown(one.scores[name]) for name in ("tau-c", "Spearman", "Pearson")),
                f"{one.count:,}",
            )
            for one in graded
        ]
        columns = ("metric", "scale", "tau-b", "95 % interval", "tau-c", "Spearman", "Pearson", "captions")
        yield Table("Metrics and people", columns, rows)
    pairs = [one for one in report.along if "agrees" in one.scores]
    if pairs:
        shares = [
            (one.metric, _shown(one.scores["agrees"]), _spread(one.scores["agrees"]), f"{one.count:,}") for one in pairs
        ]
        yield Table("Metrics and preferences", ("metric", "agrees", "95 % interval", "pairs"), shares)


def _shown(score: Score, sign: str = "") -> str:
    return "-" if score.value is None else f"{score.value:{sign}.3f}"


def _spread(score: Score, sign: str = "") -> str:
    if score.low is None or score.high is None:
        return score.why or ""
    return f"{score.low:{sign}.3f} to {score.high:{sign}.3f}"


def _p(p: float | None) -> str:
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def print_people(report: PeopleReport) -> None:
    """Prints the figures to stdout."""
    console = Console()
    console.print(Text(shown(report.title), style="bold")) if console.is_terminal else print(shown(report.title))
    tables = list(list_tables(report))
    for table in tables:
        print()
        notes = report.footnotes if table is tables[-1] else ()
        print_table(table.title, table.columns, table.rows, numbers=NUMBERS, footnotes=notes, console=console)


def people_page(report: PeopleReport) -> bytes:
    """The report as an HTML file that needs nothing else: no network, no scripts."""
    content = report.to_json()
    return render(
        "evaluation/people.html",
        title="Captions as people judge them",
        report=report,
        tables=list(list_tables(report)),
        numbers=NUMBERS,
        definitions=content["definitions"],
        whole=json_report(content).decode(),
    )
