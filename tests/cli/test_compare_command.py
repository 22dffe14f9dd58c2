"""Captions of two files, compared without any model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from caption_files import write_captions
from typer.testing import CliRunner, Result

from capcli.cli import app

REFERENCES = ("--references", "data")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments, "--no-java", "--bootstrap-samples", "100"])


def test_two_files_are_compared(scored_folder: Path) -> None:
    write_captions(scored_folder / "better.jsonl", {f"{i}.png": f"a picture of brightness {i}" for i in range(4)})
    result = run("said.jsonl", "better.jsonl", "--references", "data", "-o", "c.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].split()[:5] == ["metric", "A", "B", "B", "-"]
    assert json.loads(Path("c.json").read_text())["differences"]["length"]["difference"] == 3


@pytest.mark.usefixtures("closed_stdout")
def test_the_report_is_written_where_nobody_reads_the_table(scored_folder: Path) -> None:
    assert run("said.jsonl", "said.jsonl", *REFERENCES, "-o", "c.json").exit_code != 0
    assert "differences" in json.loads(Path("c.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["said.jsonl", *REFERENCES], "Missing argument 'B'"),
        (["said.jsonl", "said.jsonl"], "Missing option '--references'"),
        (["said.jsonl", "said.jsonl", *REFERENCES, "--html", "r.html"], "No such option: --html"),
        (["said.jsonl", "absent.jsonl", *REFERENCES], "absent.jsonl: no such file or directory"),
        (["said.jsonl", "said.jsonl", *REFERENCES, "-o", "said.jsonl"], "would replace a file that is read"),
        (
            ["said.jsonl", "mine.safetensors", *REFERENCES],
            "mine.safetensors is a model, and compare takes captions: see `capcli models compare`",
        ),
    ],
)
def test_what_cannot_be_done_exits_2(scored_folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert message in line
