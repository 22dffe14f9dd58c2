"""Figures on a terminal: a table, plain where it goes into a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from capcli.evaluation.comparison import Comparison
from capcli.evaluation.notes import RETRIEVAL
from capcli.evaluation.report import Report
from capcli.evaluation.scores import Score
from capcli.output.table import PIPE_WIDTH, print_table

if TYPE_CHECKING:
    from capcli.evaluation.faithfulness import Check
    from capcli.metrics.retrieval import Retrieval

_ROOMY = 110

_INTERVAL = "95 % interval"

_NUMBERS = frozenset(
    (
        "value",
        "A",
        "B",
        "B - A",
        "p",
        "top fifth",
        "random fifth",
        "least fifth",
        "top / random",
        "deletion",
        "insertion",
    )
)


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
    console = Console()
    # A person's interval is of less interest than the rest, and is what an ordinary terminal has no room for.
    roomy = _width(console) >= _ROOMY
    columns = ["metric", "value", _INTERVAL]
    if report.human:
        columns += ["a person scores", *([_INTERVAL] if roomy else []), "the captions, on the same references"]
    rows = []
    for name, score in report.scores.metrics.items():
        cells = [name, "-" if score.value is None else figure(name, score.value)]
        cells.append(interval(name, score.low, score.high) or score.why or "")
        if report.human and score.value is not None:
            person, captions = (scores.metrics[name] for scores in (report.human.person, report.human.captions))
            cells.append("-" if person.value is None else figure(name, person.value))
            cells += [interval(name, person.low, person.high)] if roomy else []
            cells.append("-" if captions.value is None else figure(name, captions.value))
        rows.append(cells)
    notes = list(report.footnotes)
    # No row of the table, whose columns would be as wide as the machine is fast.
    if report.run and (speed := report.run.get("images_per_second")):
        notes.append(f"{speed:.1f} images/s captioned on {report.run['device']}, loading left out")
    print_table(report.title, columns, rows, numbers=_NUMBERS, footnotes=notes, console=console)
    if report.retrieval:
        _print_retrieval(report.retrieval, console)


def retrieval_rows(found: Retrieval) -> list[tuple[str, dict[str, str]]]:
    """Both ways of retrieval, each with its figures by name."""
    ways = {"image to sentence": found.image_to_sentence, "sentence to image": found.sentence_to_image}
    return [
        (name, {key: f"{value:g}" if key == "median rank" else figure(key, value) for key, value in figures.items()})
        for name, figures in ((name, way.to_json()) for name, way in ways.items())
    ]


def _print_retrieval(found: Retrieval, console: Console) -> None:
    ways = retrieval_rows(found)
    columns = list(ways[0][1])
    rows = [(name, *cells.values()) for name, cells in ways]
    print()
    print_table("", ("query", *columns), rows, numbers=columns, footnotes=[RETRIEVAL], console=console)


def print_comparison(comparison: Comparison) -> None:
    """Prints the differences to stdout."""
    columns, rows = ("metric", "A", "B", "B - A", _INTERVAL, "p"), []
    for name, difference in comparison.differences.metrics.items():
        cells = [name, figure(name, difference.a), figure(name, difference.b)]
        cells.append(f"{'+' if difference.value > 0 else ''}{figure(name, difference.value)}")
        cells.append(interval(name, difference.low, difference.high) or difference.why or "")
        cells.append("-" if difference.p is None else _probability(difference.p))
        rows.append(cells)
    print_table(comparison.title, columns, rows, numbers=_NUMBERS, footnotes=comparison.footnotes)


def print_check(check: Check, title: str) -> None:
    """Prints how faithful the maps of each method are to stdout."""
    columns = (
        *("method", "top fifth", _INTERVAL, "random fifth", "least fifth", "top / random", _INTERVAL),
        *("deletion", "insertion"),
    )

    def shown(score: Score) -> str:
        return "-" if score.value is None else figure("", score.value)

    def spread(score: Score) -> str:
        return interval("", score.low, score.high) or score.why or ""

    rows = [
        (
            *(name, shown(faithfulness.top), spread(faithfulness.top), shown(check.random), shown(faithfulness.least)),
            *(shown(faithfulness.ratio), spread(faithfulness.ratio)),
            *map(shown, (faithfulness.curves.deletion_area, faithfulness.curves.insertion_area)),
        )
        for name, faithfulness in check.methods.items()
    ]
    control = check.random_curves
    rows.append(("random order", *["-"] * 6, *map(shown, (control.deletion_area, control.insertion_area))))
    notes = [
        f"{check.images:,} pictures with {check.words:,} content words in the model's own captions; falls of a word's "
        "log-probability (natural) where a fifth of the regions is blurred.",
        "Deletion and insertion: area under the curve of a word's probability as regions are covered and laid open in "
        "the order of the map; low deletion and high insertion are good.",
        f"Intervals: bootstrap over pictures, {check.samples:,} resamples, seed {check.seed}.",
    ]
    first = next(iter(check.methods))
    for name, score in check.differences.items():
        notes.append(f"top fifth, {first} minus {name}: {shown(score)} ({spread(score)})")
    print_table(title, columns, rows, numbers=_NUMBERS, footnotes=notes)


def _probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _width(console: Console) -> int:
    return console.width if console.is_terminal else PIPE_WIDTH
