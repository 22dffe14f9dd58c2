"""Captions that are there already, scored without any model."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from caption_files import write_captions
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.evaluation.options import ReferenceOptions, ReportOptions, ScoringOptions

SAID = ("said.jsonl", "--references", "data")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["score", *arguments, "--no-java", "--bootstrap-samples", "100"])


def test_half_a_character_in_a_caption_stops_no_report(scored_folder: Path) -> None:
    write_captions(scored_folder / "said.jsonl", {f"{i}.png": "brightness \ud83d" for i in range(4)})
    result = run(*SAID, "--per-image", "i.csv", "--html", "r.html", "-o", "r.json")
    assert result.exit_code == 0
    assert "brightness \ufffd" in Path("i.csv").read_text(encoding="utf-8")


def test_white_space_reaches_the_tokenizer(scored_folder: Path) -> None:
    # To the COCO toolkit "1 1/2" is one token, unless there are two spaces in it.
    Path("r.json").write_text(json.dumps({f"{i}.png": ["1 1/2 miles"] for i in range(4)}))
    rouge = []
    for caption in ("1 1/2 miles", "1  1/2 miles"):
        write_captions(scored_folder / "said.jsonl", {f"{i}.png": caption for i in range(4)})
        asked = ("said.jsonl", "--references", "r.json", "-o", "report.json", "--overwrite")
        assert run(*asked).exit_code == 0
        rouge.append(json.loads(Path("report.json").read_text())["metrics"]["ROUGE-L"])
    assert rouge[0] == 1
    assert rouge[1] < 1


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ({"0.png": "x"}, "3 images with references have no prediction, first 1.png; --allow-missing scores the rest"),
        (
            {f"{i}.png": "x" for i in range(5)},
            "1 prediction has no references, first 4.png (said.jsonl, line 5); --allow-missing scores the rest",
        ),
        (
            {"x.png": "x"},
            "data: no prediction is about any of its images; it has 0.png, said.jsonl, line 1 is about x.png",
        ),
    ],
)
def test_captions_and_references_that_do_not_fit_together(
    scored_folder: Path, captions: dict[str, str], message: str
) -> None:
    write_captions(scored_folder / "said.jsonl", captions)
    result = run(*SAID)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"capcli: error: {message}\n")


def test_two_captions_of_one_image_are_refused_always(scored_folder: Path) -> None:
    with (scored_folder / "said.jsonl").open("a") as file:
        file.write('{"image": "data/1.png", "caption": "x"}\n')
    result = run(*SAID, "--allow-missing")
    assert result.exit_code == 2
    assert result.stderr == (
        "capcli: error: two predictions for 1.png: said.jsonl, line 2 and said.jsonl, line 5; leave one\n"
    )


def test_what_can_be_scored_is_scored_where_that_is_allowed(scored_folder: Path) -> None:
    write_captions(scored_folder / "said.jsonl", {"0.png": "", "1.png": "一只狗", "9.png": "x"})
    result = run(*SAID, "--allow-missing")
    assert result.exit_code == 0
    assert result.stdout.startswith("said.jsonl on data, test, 2 images\n")
    assert result.stderr.splitlines() == [
        "capcli: not scored: 2 images with references have no prediction, first 2.png; 1 prediction has no references, "
        "first 9.png (said.jsonl, line 3)",
        "capcli: 1 caption is empty and scored as such, like the COCO toolkit does, first 0.png",
        "capcli: 1 caption is in another script, first 1.png; tokenizer and METEOR are made for English",
    ]


def test_a_single_image_says_why_cider_is_nothing(scored_folder: Path) -> None:
    write_captions(scored_folder / "said.jsonl", {"4.png": "brightness 4"})
    result = run(*SAID, "--split", "train")
    assert result.exit_code == 0
    assert "capcli: one image alone: its CIDEr is 0 by definition" in result.stderr
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("CIDEr-D"))
    assert row.split()[1] == "0.000"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'CAPTIONS'"),
        (["said.jsonl"], "Missing option '--references'"),
        ([*SAID, "--beam-size", "3"], "No such option: --beam-size"),
        ([*SAID, "--split", "held-out"], "split must be one of test, dev, train, all, not 'held-out'"),
        (["absent.jsonl", "--references", "data"], "absent.jsonl: no such file or directory"),
        (["said.jsonl", "--references", "absent"], "absent: no such file or folder"),
        ([*SAID, "-o", "said.jsonl"], "-o said.jsonl would replace a file that is read; name another"),
        ([*SAID, "-o", "data/captions.csv"], "-o data/captions.csv would replace a file that is read; name another"),
        ([*SAID, "--training", "absent.txt"], "absent.txt: no such file or folder"),
    ],
)
def test_what_cannot_be_done_exits_2(scored_folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert message in line


def test_a_report_that_is_there_is_replaced_only_if_that_is_asked_for(scored_folder: Path) -> None:
    Path("r.json").write_text("precious")
    assert "-o r.json exists; --overwrite replaces it" in run(*SAID, "-o", "r.json").stderr
    assert Path("r.json").read_text() == "precious"
    assert run(*SAID, "-o", "r.json", "--overwrite").exit_code == 0
    settings = json.loads(Path("r.json").read_text())["settings"]
    assert settings == {
        "predictions": "said.jsonl",
        "references": "data",
        "no_java": True,
        "bootstrap_samples": 100,
        "bootstrap_seed": 0,
        "tokenizer": "PTB",
    }


@pytest.mark.usefixtures("closed_stdout")
def test_reports_are_written_where_nobody_reads_the_table(scored_folder: Path) -> None:
    assert run(*SAID, "-o", "r.json", "--per-image", "i.csv", "--html", "r.html").exit_code != 0
    assert all(Path(name).stat().st_size for name in ("r.json", "i.csv", "r.html"))


def test_every_option_is_one_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["score", "--help"], env={"COLUMNS": "200"}).stdout
    for options in (ReferenceOptions, ScoringOptions, ReportOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in help_text


def test_scoring_imports_no_torch(scored_folder: Path) -> None:
    program = "import sys\nfrom capcli.cli import app\ntry: app(sys.argv[1:])\nfinally: print('torch' in sys.modules)\n"
    command = [sys.executable, "-c", program, "score", *SAID, "--no-java", "--html", "r.html", "-o", "r.json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout.endswith("False\n")
