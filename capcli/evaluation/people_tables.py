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
            (
                mean.system,
                mean.scale,
                _shown(mean.score),
                _spread(mean.score),
                f"{mean.pictures:,}",
                f"{mean.ratings:,}",
            )
            for mean in report.means
        ]
        yield Table("Ratings, 1 to 5", ("system", "scale", "mean", "95 % interval", "pictures", "ratings"), rows)
    if report.gaps:
        gaps = [
            (gap.a, gap.b, gap.scale, _shown(gap.score, "+"), _spread(gap.score, "+"), _p(gap.p), f"{gap.pictures:,}")
            for gap in report.gaps
        ]
        yield Table("Differences", ("A", "B", "scale", "B - A", "95 % interval", "p", "pictures"), gaps)
    if report.preferences:
        answers = [
            (
                *(preference.a, preference.b, f"{preference.for_a:,}", f"{preference.even:,}", f"{preference.for_b:,}"),
                f"{preference.pictures_a:,} : {preference.pictures_b:,}",
                *(_shown(preference.score), _spread(preference.score), _p(preference.p)),
            )
            for preference in report.preferences
        ]
        columns = ("A", "B", "A better", "equal", "B better", "pictures A : B", "share of A", "95 % interval", "p")
        yield Table("Preferences", columns, answers)
    if report.agreement:
        agreed = [
            (
                scale,
                "-" if agreement.alpha is None else f"{agreement.alpha:.3f}",
                f"{agreement.units:,}",
                f"{agreement.raters:,}",
                agreement.why or "",
            )
            for scale, agreement in report.agreement.items()
        ]
        yield Table("Agreement of raters", ("scale", "Krippendorff's alpha", "judged twice", "raters", "note"), agreed)
    yield from _list_along(report)


def _list_along(report: PeopleReport) -> Iterator[Table]:
    graded = [along for along in report.along if "tau-b" in along.scores]
    if graded:
        rows = [
            (
                *(along.metric, along.scale, _shown(along.scores["tau-b"]), _spread(along.scores["tau-b"])),
                *(_shown(along.scores[name]) for name in ("tau-c", "Spearman", "Pearson")),
                f"{along.count:,}",
            )
            for along in graded
        ]
        columns = ("metric", "scale", "tau-b", "95 % interval", "tau-c", "Spearman", "Pearson", "captions")
        yield Table("Metrics and people", columns, rows)
    pairs = [along for along in report.along if "agrees" in along.scores]
    if pairs:
        shares = [
            (along.metric, _shown(along.scores["agrees"]), _spread(along.scores["agrees"]), f"{along.count:,}")
            for along in pairs
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
