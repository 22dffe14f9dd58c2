"""Models side by side on a terminal, plain where they go into a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from capcli.catalogue.table import megabytes, score, shown_figure, stored
from capcli.evaluation.report import titled
from capcli.evaluation.table import interval, print_comparison
from capcli.output.table import print_table

if TYPE_CHECKING:
    from capcli.compression.measurement import Measured
    from capcli.evaluation.scores import Difference

_SHOWN = ("CIDEr-D", "BLEU-4", "ROUGE-L")


def print_compared(measured: Measured) -> None:
    """Prints models side by side to stdout, then the scores of each other than the first against the first's."""
    facts, speed = measured.facts, measured.speed
    rows = [
        ("size", *(megabytes(model.size) for model in facts)),
        ("stored as", *(stored(model.weights) for model in facts)),
        ("encoder", *(model.encoder for model in facts)),
        ("decoder", *(str(model.header.described["decoder"]["name"]) for model in facts)),
        ("parameters", *(f"{model.weights.parameters:,}" for model in facts)),
        ("vocabulary", *(f"{model.words:,}" for model in facts)),
        ("images/s", *(f"{speed.rate(place):.1f}" for place in range(len(facts)))),
        ("speed", "", *(f"{speed.ratio(place)[0]:.2f} times" for place in range(1, len(facts)))),
        ("computes in", *(_precision(pair) for pair in speed.precision)),
    ]
    if not measured.comparisons:
        for name in dict.fromkeys(name for model in facts for name in model.history.scores):
            rows.append(
                (f"CIDEr-D, {name}", *(score(model.history.scores.get(name, {}).get("CIDEr-D")) for model in facts))
            )
    notes = [_timed(measured)]
    notes += [f"{model.label} is {speed.verdict(place)}" for place, model in enumerate(facts) if place]
    if not measured.comparisons:
        notes.append("scores are those that the files hold; --data DATASET measures them on the same pictures")
    print_table("", ("", *(model.label for model in facts)), rows, footnotes=notes)
    for comparison in measured.comparisons:
        print()
        print_comparison(comparison)


def print_compressed(measured: Measured) -> None:
    """Prints a model before and after it was made smaller to stdout."""
    (before, after), speed = measured.facts, measured.speed
    middle, least, most = speed.ratio(1)
    rates = (f"{speed.rate(place):.1f}" for place in (0, 1))
    rows = [
        ("size", megabytes(before.size), megabytes(after.size), f"{after.size / before.size:.1%} of the size"),
        ("stored as", stored(before.weights), stored(after.weights), ""),
        ("images/s", *rates, f"{middle:.2f} times, {least:.2f} to {most:.2f}"),
    ]
    for comparison in measured.comparisons:
        for name in _SHOWN:
            if difference := comparison.differences.metrics.get(name):
                rows.append(
                    (
                        name,
                        shown_figure(name, difference.a),
                        shown_figure(name, difference.b),
                        _difference(name, difference),
                    )
                )
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
    columns = ("", "before", "after", "change")
    print_table(f"{before.label} -> {after.label}", columns, rows, numbers=("before", "after"), footnotes=notes)


def _timed(measured: Measured) -> str:
    speed = measured.speed
    return f"images/s: {measured.timed_on} in memory, {speed.device}, median of {len(speed.rounds)} rounds in turns"


def _computing(measured: Measured) -> str:
    """How the second of two models computes, and whether that is what differs."""
    (_, before), (_, after) = measured.speed.precision
    remarks = []
    if before != after:
        remarks.append(f"its decoder computes in {after}, which was {before}")
    elif measured.facts[1].weights.stored == "int8":
        remarks.append(
            f"int8 makes the file smaller and nothing faster: loaded, its weights are floats again, in {after}"
        )
    if measured.facts[1].weights.zeros:
        remarks.append(
            "its zeros make the file smaller and nothing faster, as they are computed with like other numbers"
        )
    return "; ".join(remarks) or f"it computes as before, in {after}"


def _precision(pair: Sequence[str]) -> str:
    encoder, decoder = pair
    return encoder if encoder == decoder else f"{encoder}, decoder {decoder}"


def _difference(name: str, difference: Difference) -> str:
    # Adding 0 makes one of minus 0.
    change = f"{round(difference.value, 3) + 0:+.3f}"
    return ", ".join(part for part in (change, interval(name, difference.low, difference.high)) if part)
