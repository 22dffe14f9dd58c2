from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from capcli.cli import app
from capcli.evaluation.comparison import Comparison, compare
from capcli.evaluation.notes import CIDER
from capcli.evaluation.options import ScoringOptions
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References
from capcli.evaluation.report import Report, evaluate
from capcli.evaluation.scores import METRICS
from capcli.evaluation.table import print_comparison, print_report

SCORING = ScoringOptions(no_java=True, bootstrap_samples=100)
WORDS = ("dog", "cat", "man", "child", "horse", "bird")


def references(images: int = 3) -> References:
    items = (
        Reference(f"{n}.jpg", (f"A {WORDS[n % 6]} runs.", f"The {WORDS[n % 6]} is running.")) for n in range(images)
    )
    return References(Path("r.json"), "pets", "test", tuple(items))


def predictions(images: int = 3, template: str = "A {} runs.") -> list[Prediction]:
    return [Prediction((f"{n}.jpg",), template.format(WORDS[n % 6]), f"p, line {n + 1}") for n in range(images)]


def report(scoring: ScoringOptions = SCORING) -> Report:
    return evaluate(references(), predictions(), scoring, system="base")


def compared(images: int = 3, b: str = "A {} runs.", **settings: object) -> Comparison:
    return compare(references(images), predictions(images), predictions(images, b), SCORING, settings=settings)


def printed(capsys: pytest.CaptureFixture[str], result: Report | Comparison) -> list[str]:
    print_report(result) if isinstance(result, Report) else print_comparison(result)
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], metric: str) -> list[str]:
    (found,) = (line for line in lines if line.startswith(f"{metric} "))
    return found.split()


def test_the_table_is_plain_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, report())
    assert lines[0] == "base on pets, test, 3 images"
    assert lines[1].split() == ["metric", "value", "95", "%", "interval"]
    assert [line.split()[0] for line in lines[2 : 2 + len(METRICS)]] == list(METRICS)
    assert lines[2 + len(METRICS) :] == ["", CIDER, "fewer than 30 images: their intervals are too narrow"]
    assert all(line == line.rstrip() and line.isascii() and "\x1b" not in line for line in lines)


@pytest.mark.parametrize("terminal", [False, True])
def test_square_brackets_are_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    if terminal:
        monkeypatch.setattr("capcli.evaluation.table.Console", lambda: Console(force_terminal=True, width=80))
    lines = printed(capsys, report(ScoringOptions(spice=True, bootstrap_samples=100)))
    for metric in ("METEOR", "SPICE"):
        assert row(lines, metric) == [metric, "-", "needs", "capcli[java]"]


def test_a_person_stands_beside_the_captions_on_the_same_references(capsys: pytest.CaptureFixture[str]) -> None:
    people = report(ScoringOptions(human=True, no_java=True, bootstrap_samples=100))
    lines = printed(capsys, people)
    assert lines[1].split("  ")[-1].strip() == "the captions, on the same references"
    assert "a person scores  95 % interval" in lines[1]
    assert people.human is not None
    figures = row(lines, "ROUGE-L")
    assert figures[5] == f"{people.human.person.metrics['ROUGE-L'].value:.3f}"
    assert figures[-1] == f"{people.human.captions.metrics['ROUGE-L'].value:.3f}"


def test_a_narrow_terminal_has_no_room_for_a_persons_interval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "capcli.evaluation.table.Console", lambda: Console(force_terminal=True, width=80, color_system=None)
    )
    lines = printed(capsys, report(ScoringOptions(human=True, no_java=True, bootstrap_samples=100)))
    assert len(row(lines, "ROUGE-L")) == 7
    assert max(map(len, lines)) <= 80


def test_a_system_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    title, header, *rows = printed(capsys, compared())
    assert title == "A and B on pets, test, 3 images"
    assert header.split() == ["metric", "A", "B", "B", "-", "A", "95", "%", "interval", "p"]
    assert {row.split()[-1] for row in rows if row.startswith("BLEU")} == {"1.000"}


def test_a_comparison_says_which_file_is_which(capsys: pytest.CaptureFixture[str]) -> None:
    title = printed(capsys, compared(compare=["old/rows.jsonl", "new/[b].jsonl"]))[0]
    assert title == "A (old/rows.jsonl) and B (new/[b].jsonl) on pets, test, 3 images"


def test_small_p_values_are_no_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    scoring = ScoringOptions(no_java=True, bootstrap_samples=1500)
    better = compare(references(40), predictions(40, "no"), predictions(40), scoring)
    assert row(printed(capsys, better), "ROUGE-L")[-1] == "<0.001"


def test_many_tests_at_once_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compared(30)
    (note,) = (line for line in printed(capsys, comparison) if "tested at once" in line)
    assert note.startswith(f"{len(comparison.differences.metrics)} metrics")


def test_one_image_gives_no_interval_and_no_p_value(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, compared(1, "A {}."))
    assert " ".join(row(lines, "ROUGE-L")[4:]) == "a single image says nothing about others -"
    assert not any("tested at once" in line for line in lines)


def test_square_brackets_of_the_help_are_no_markup() -> None:
    help_text = CliRunner().invoke(app, ["eval", "--help"], env={"COLUMNS": "200"}).stdout
    assert "(needs capcli[java])" in help_text


def test_captions_that_were_made_tell_how_fast(capsys: pytest.CaptureFixture[str]) -> None:
    run = {"model": {"name": "base", "sha256": "0"}, "decoding": {}, "device": "cpu", "images_per_second": 12.34}
    result = evaluate(references(), predictions(), SCORING, system="base", run=run)
    assert printed(capsys, result)[-1] == "12.3 images/s captioned on cpu, loading left out"
    assert "images/s" not in "".join(printed(capsys, report()))
