"""Models on a terminal, plain where they go into a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from capcli.catalogue.facts import Facts
from capcli.catalogue.soundness import Check
from capcli.evaluation.report import titled
from capcli.evaluation.table import figure, interval, print_comparison
from capcli.output.table import new_table, print_table
from capcli.output.text import escape

if TYPE_CHECKING:
    from capcli.catalogue.measurement import Measured
    from capcli.evaluation.scores import Difference

_SHORT = 12

_SHOWN = ("CIDEr-D", "BLEU-4", "ROUGE-L")

# What steers a terminal; a card may be a stranger's like its file.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def megabytes(size: int) -> str:
    """A size in bytes for people."""
    return f"{size / 1e6:,.1f} MB"


def print_list(models: Sequence[Facts]) -> None:
    """Prints a line for each model to stdout."""
    numbers = ("size", "dev CIDEr-D", "test CIDEr-D")
    table = new_table(("name", "size", "SHA-256", "trained on", "dev CIDEr-D", "test CIDEr-D"), numbers)
    for one in models:
        known = (_score(one.best_known(part)) for part in ("dev", "test"))
        table.add_row(*_cells(one.label, megabytes(one.size), one.sha256[:_SHORT], ", ".join(one.trained_on), *known))
    print_table("", table)


def print_facts(facts: Facts) -> None:
    """Prints what a model file says of itself, its scores, and its card if it has one, to stdout."""
    rows = [
        ("file", str(facts.file)),
        ("size", f"{megabytes(facts.size)}, {facts.parameters:,} parameters, mostly {_stored(facts)}"),
        ("SHA-256", facts.sha256),
        ("encoder", facts.encoder),
        ("decoder", facts.decoder),
        ("vocabulary", f"{facts.words:,} words"),
        ("decoding", facts.decoding),
        ("trained on", ", ".join(facts.trained_on) or "not said"),
        ("recipe", _recipe(facts.recipe)),
    ]
    if facts.origin:
        told = f"{facts.origin.get('model', '?')} by {facts.origin.get('method', '?')}"
        rows.append(("made from", f"{told}, SHA-256 {str(facts.origin.get('sha256', '?'))[:_SHORT]}"))
    if isinstance(tuned := facts.fine_tuning.get("recipe"), dict):
        rows.append(("fine-tuned by", _recipe(tuned)))
    table = new_table(("", ""), ())
    for row in rows:
        table.add_row(*_cells(*row))
    print_table(_plain(facts.label), table)
    if facts.scores:
        metrics = list(dict.fromkeys(metric for figures in facts.scores.values() for metric in figures))
        table = new_table(("measured on", *map(_plain, metrics)), [_plain(metric) for metric in metrics])
        for name, figures in facts.scores.items():
            table.add_row(*_cells(name, *(_figure(metric, figures.get(metric)) for metric in metrics)))
        print()
        print_table("", table)
    print()
    if (card := facts.card) is None:
        print(_plain(f"No card {facts.card_file.name} is beside the file."))
        return
    plain = _STEERING.sub("\ufffd", card)
    console = Console()
    console.print(Markdown(plain, hyperlinks=False)) if console.is_terminal else sys.stdout.write(plain)


def print_checks(facts: Facts, found: Sequence[Check]) -> None:
    """Prints what was checked and what was found to stdout."""
    words = {True: "ok", False: "FAILED", None: "not compared"}
    table = new_table(("", "", ""), ())
    for check in found:
        table.add_row(*_cells(check.name, words[check.passed], check.told))
    told = "not sound" if any(check.passed is False for check in found) else "sound"
    print_table(_plain(f"{facts.label}, {facts.file}: {told}"), table)


def print_compared(measured: Measured) -> None:
    """Prints models side by side to stdout, then the scores of each other than the first against the first's."""
    facts, speed = measured.facts, measured.speed
    table = new_table(("", *(_plain(one.label) for one in facts)), ())

    def row(name: str, cells: Iterable[str]) -> None:
        table.add_row(*_cells(name, *cells))

    row("size", (megabytes(one.size) for one in facts))
    row("stored as", (_stored(one) for one in facts))
    row("encoder", (one.encoder for one in facts))
    row("decoder", (str(one.header.described["decoder"]["name"]) for one in facts))
    row("parameters", (f"{one.parameters:,}" for one in facts))
    row("vocabulary", (f"{one.words:,}" for one in facts))
    row("images/s", (f"{speed.rate(place):.1f}" for place in range(len(facts))))
    row("speed", ("", *(f"{speed.ratio(place)[0]:.2f} times" for place in range(1, len(facts)))))
    row("computes in", (_precision(each) for each in speed.precision))
    if not measured.comparisons:
        for name in dict.fromkeys(name for one in facts for name in one.scores):
            row(f"CIDEr-D, {name}", (_score(one.scores.get(name, {}).get("CIDEr-D")) for one in facts))
    notes = [_timed(measured)]
    notes += [f"{one.label} is {speed.verdict(place)}" for place, one in enumerate(facts) if place]
    if not measured.comparisons:
        notes.append("scores are those that the files hold; --data DATASET measures them on the same pictures")
    print_table("", table, [_plain(note) for note in notes])
    for comparison in measured.comparisons:
        print()
        print_comparison(comparison)


def print_compressed(measured: Measured) -> None:
    """Prints a model before and after it was made smaller to stdout."""
    (before, after), speed = measured.facts, measured.speed
    table = new_table(("", "before", "after", "change"), ("before", "after"))
    share = f"{after.size / before.size:.1%} of the size"
    table.add_row(*_cells("size", megabytes(before.size), megabytes(after.size), share))
    table.add_row(*_cells("stored as", _stored(before), _stored(after), ""))
    middle, least, most = speed.ratio(1)
    rates = (f"{speed.rate(place):.1f}" for place in (0, 1))
    table.add_row(*_cells("images/s", *rates, f"{middle:.2f} times, {least:.2f} to {most:.2f}"))
    for comparison in measured.comparisons:
        for name in _SHOWN:
            if one := comparison.differences.metrics.get(name):
                table.add_row(*_cells(name, _figure(name, one.a), _figure(name, one.b), _difference(name, one)))
    notes = [
        f"{speed.verdict(1)}; {_computing(measured)}",
        _timed(measured),
    ]
    for comparison in measured.comparisons:
        notes.append(
            f"scored on {titled(comparison.references, len(comparison.a.pairs))}; intervals: 95 %, paired bootstrap "
            "over images"
        )
    if not measured.comparisons:
        notes.append("not scored: --data DATASET captions its dev pictures before and after")
    print_table(_plain(f"{before.label} -> {after.label}"), table, [_plain(note) for note in notes])


def _timed(measured: Measured) -> str:
    speed = measured.speed
    return f"images/s: {measured.timed_on} in memory, {speed.device}, median of {len(speed.rounds)} rounds in turns"


def _computing(measured: Measured) -> str:
    """How the second of two models computes, and whether that is what differs."""
    (_, before), (_, after) = measured.speed.precision
    told = []
    if before != after:
        told.append(f"its decoder computes in {after}, which was {before}")
    if measured.facts[1].zeros:
        told.append("its zeros make the file smaller and nothing faster, as they are computed with like other numbers")
    return "; ".join(told) or f"its weights are floats again once loaded, and it computes as before, in {after}"


def _stored(facts: Facts) -> str:
    """The type of most of its numbers, and how many are zeros that need none."""
    return facts.stored + (f", {facts.zeros / facts.parameters:.1%} zeros" if facts.zeros else "")


def _precision(each: Sequence[str]) -> str:
    encoder, decoder = each
    return encoder if encoder == decoder else f"{encoder}, decoder {decoder}"


def _difference(name: str, one: Difference) -> str:
    # Adding 0 makes one of minus 0.
    told = f"{round(one.value, 3) + 0:+.3f}"
    return ", ".join(part for part in (told, interval(name, one.low, one.high)) if part)


def _recipe(recipe: dict[str, Any]) -> str:
    if not recipe:
        return "not said"
    stages = recipe.get("stage")
    told = [str(recipe.get("name", "?"))]
    if "seed" in recipe:
        told.append(f"seed {recipe['seed']}")
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict):
            told.append(f"{stage.get('objective', 'cross-entropy')} for {stage.get('epochs', '?')} epochs")
    return ", ".join(told)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name == "images" else figure(name, value)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _cells(*texts: str) -> list[Text]:
    return [Text(_plain(text)) for text in texts]


def _plain(text: str) -> str:
    """A text that can be printed: without what steers a terminal, and without undecodable bytes of file names."""
    return escape(text.encode("utf-8", "replace").decode())
