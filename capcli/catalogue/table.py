"""Models on a terminal, plain where they go into a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from capcli.catalogue.facts import Facts
from capcli.catalogue.soundness import Check
from capcli.evaluation.table import figure
from capcli.files.names import escape
from capcli.output.table import new_table, print_table

_SHORT = 12

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
        known = (score(one.best_known(part)) for part in ("dev", "test"))
        table.add_row(*cells(one.label, megabytes(one.size), one.sha256[:_SHORT], ", ".join(one.trained_on), *known))
    print_table("", table)


def print_facts(facts: Facts) -> None:
    """Prints what a model file says of itself, its scores, and its card if it has one, to stdout."""
    rows = [
        ("file", str(facts.file)),
        ("size", f"{megabytes(facts.size)}, {facts.parameters:,} parameters, mostly {stored(facts)}"),
        ("SHA-256", facts.sha256),
        ("encoder", facts.encoder),
        ("decoder", facts.decoder),
        *([("matcher", facts.matcher)] if facts.matcher else []),
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
        table.add_row(*cells(*row))
    print_table(plain(facts.label), table)
    if facts.scores:
        metrics = list(dict.fromkeys(metric for figures in facts.scores.values() for metric in figures))
        table = new_table(("measured on", *map(plain, metrics)), [plain(metric) for metric in metrics])
        for name, figures in facts.scores.items():
            table.add_row(*cells(name, *(shown_figure(metric, figures.get(metric)) for metric in metrics)))
        print()
        print_table("", table)
    print()
    if facts.card is None:
        print(plain(f"No card {facts.card_file.name} is beside the file."))
        return
    card = _STEERING.sub("\ufffd", facts.card)
    console = Console()
    console.print(Markdown(card, hyperlinks=False)) if console.is_terminal else sys.stdout.write(card)


def print_checks(facts: Facts, found: Sequence[Check]) -> None:
    """Prints what was checked and what was found to stdout."""
    words = {True: "ok", False: "FAILED", None: "not compared"}
    table = new_table(("", "", ""), ())
    for check in found:
        table.add_row(*cells(check.name, words[check.passed], check.told))
    told = "not sound" if any(check.passed is False for check in found) else "sound"
    print_table(plain(f"{facts.label}, {facts.file}: {told}"), table)


def stored(facts: Facts) -> str:
    """The type of most of its numbers, and how many are zeros that need none."""
    return facts.stored + (f", {facts.zeros / facts.parameters:.1%} zeros" if facts.zeros else "")


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


def shown_figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name == "images" else figure(name, value)


def score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def cells(*texts: str) -> list[Text]:
    return [Text(plain(text)) for text in texts]


def plain(text: str) -> str:
    """A text that can be printed: without what steers a terminal, and without undecodable bytes of file names."""
    return escape(text.encode("utf-8", "replace").decode())
