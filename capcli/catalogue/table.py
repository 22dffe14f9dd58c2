"""Models on a terminal, plain where they go into a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from capcli.catalogue.facts import Facts
from capcli.catalogue.pulled import PulledFacts
from capcli.catalogue.soundness import Check
from capcli.catalogue.weights import Weights
from capcli.evaluation.table import figure
from capcli.output.table import print_table, shown
from capcli.words.counting import count_of

_SHORT = 12

# What steers a terminal; a card may be a stranger's like its file.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def megabytes(size: int) -> str:
    """A size in bytes for people."""
    return f"{size / 1e6:,.1f} MB"


def print_list(models: Sequence[Facts]) -> None:
    """Prints a line for each model to stdout."""
    columns = ("name", "size", "SHA-256", "chosen on", "dev CIDEr-D", "test CIDEr-D")
    rows = []
    for model in models:
        known = (score(model.history.best_known(part)) for part in ("dev", "test"))
        rows.append(
            (model.label, megabytes(model.size), model.sha256[:_SHORT], ", ".join(model.history.chosen_on), *known)
        )
    print_table("", columns, rows, numbers=("size", "dev CIDEr-D", "test CIDEr-D"))


def print_facts(facts: Facts) -> None:
    """Prints what a model file says of itself, its scores, and its card if it has one, to stdout."""
    history = facts.history
    rows = [
        ("file", str(facts.file)),
        ("size", f"{megabytes(facts.size)}, {facts.weights.parameters:,} parameters, mostly {stored(facts.weights)}"),
        ("SHA-256", facts.sha256),
        ("encoder", facts.encoder),
        ("decoder", facts.decoder),
        *([("matcher", facts.matcher)] if facts.matcher else []),
        ("vocabulary", f"{facts.words:,} words"),
        ("decoding", facts.decoding),
        ("chosen on", ", ".join(history.chosen_on) or "not said"),
        ("recipe", _recipe(history.recipe)),
    ]
    if history.origin:
        source = f"{history.origin.get('model', '?')} by {history.origin.get('method', '?')}"
        rows.append(("made from", f"{source}, SHA-256 {str(history.origin.get('sha256', '?'))[:_SHORT]}"))
    if isinstance(tuned := history.fine_tuning.get("recipe"), dict):
        rows.append(("fine-tuned by", _recipe(tuned)))
    print_table(facts.label, ("", ""), rows)
    if history.scores:
        metrics = list(dict.fromkeys(metric for figures in history.scores.values() for metric in figures))
        measured = [
            (name, *(shown_figure(metric, figures.get(metric)) for metric in metrics))
            for name, figures in history.scores.items()
        ]
        print()
        print_table("", ("measured on", *metrics), measured, numbers=metrics)
    print()
    text = facts.card.text
    if text is None:
        print(shown(f"No card {facts.card.file.name} is beside the file."))
        return
    card = _STEERING.sub("\ufffd", text)
    console = Console()
    console.print(Markdown(card, hyperlinks=False)) if console.is_terminal else sys.stdout.write(card)


def print_pulled(models: Sequence[PulledFacts]) -> None:
    """Prints a line for each captioner of Hugging Face to stdout."""
    rows = [
        (model.label, megabytes(model.repository.size), str(model.repository.revision)[:_SHORT],
         model.repository.family.name, model.repository.licence)
        for model in models
    ]  # fmt: skip
    print_table("", ("name", "size", "revision", "family", "licence"), rows, numbers=("size",))


def print_checks(label: str, file: Path, found: Sequence[Check]) -> None:
    """Prints what was checked and what was found to stdout."""
    words = {True: "ok", False: "FAILED", None: "not compared"}
    rows = [(check.name, words[check.passed], check.finding) for check in found]
    verdict = "not sound" if any(check.passed is False for check in found) else "sound"
    print_table(f"{label}, {file}: {verdict}", ("", "", ""), rows)


def stored(weights: Weights) -> str:
    """The type of most of the numbers, and how many are zeros that need none."""
    zeros = f", {weights.zeros / weights.parameters:.1%} zeros" if weights.zeros else ""
    return f"{weights.stored}{zeros}"


def _recipe(recipe: Mapping[str, object]) -> str:
    if not recipe:
        return "not said"
    stages = recipe.get("stage")
    parts = [str(recipe.get("name", "?"))]
    if "seed" in recipe:
        parts.append(f"seed {recipe['seed']}")
    for stage in stages if isinstance(stages, list) else []:
        if isinstance(stage, dict):
            epochs = stage.get("epochs")
            length = count_of(epochs, "epoch") if isinstance(epochs, int) else "? epochs"
            parts.append(f"{stage.get('objective', 'cross-entropy')} for {length}")
    return ", ".join(parts)


def shown_figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name == "images" else figure(name, value)


def score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
