"""The command around a stand-in for the model; the real one is run end to end."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.decoding.options import DecodingOptions
from capcli.evaluation.options import DatasetOptions, ReportOptions, ScoringOptions
from capcli.model.options import ModelOptions

FAST = ("--no-java", "--bootstrap-samples", "100")
SAID = ("said.jsonl", "--references", "data")


def run_eval(fake: FakeCaptioner, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments, *FAST], obj=fake.load)


def run_score(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["score", *arguments, *FAST])


def test_a_data_set_is_captioned_and_scored(fake: FakeCaptioner, scored_folder: Path) -> None:
    result = run_eval(fake, "data", "-o", "report.json")
    assert result.exit_code == 0
    assert result.stdout.startswith("base on data, test, 4 images\n")
    assert result.stderr.startswith("capcli: captioned 4, skipped 0, failed 0, ")
    report = json.loads(Path("report.json").read_text())
    assert report["metrics"]["ROUGE-L"] == pytest.approx(1)
    assert report["model"]["name"] == "base"
    assert len(report["model"]["sha256"]) == 64
    assert report["decoding"]["beam_size"] == 5
    assert report["images_per_second"] > 0


def test_captions_made_elsewhere_give_the_same_figures(fake: FakeCaptioner, scored_folder: Path) -> None:
    run_eval(fake, "data", "-o", "made.json")
    assert run_score(*SAID, "-o", "read.json").exit_code == 0
    expected, read = (json.loads(Path(name).read_text()) for name in ("made.json", "read.json"))
    for key in ("metrics", "intervals", "hashes"):
        assert expected[key] == read[key]
    assert fake.captioned == 4


@pytest.mark.parametrize(("split", "images"), [("test", 4), ("train", 1), ("all", 5)])
def test_splits(fake: FakeCaptioner, scored_folder: Path, split: str, images: int) -> None:
    run_eval(fake, "data", "--split", split, "-o", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert (report["split"], report["images"]) == (split, images)


def test_decoding_options_replace_the_model_s_own(fake: FakeCaptioner, scored_folder: Path) -> None:
    run_eval(fake, "data", "--sample", "--seed", "9", "--top-k", "4", "--bootstrap-seed", "3", "-o", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert (report["decoding"]["beam_size"], report["decoding"]["top_k"]) == (5, 4)
    assert report["seeds"] == {"bootstrap": 3, "sampling": 9}


def test_kept_captions_are_not_made_again(fake: FakeCaptioner, scored_folder: Path) -> None:
    keep = ("data", "--predictions-out", "rows.jsonl", "--batch-size", "2")
    whole = run_eval(fake, *keep)
    rows = Path("rows.jsonl").read_text().splitlines(keepends=True)
    assert len(rows) == 4
    assert run_eval(fake, *keep).stderr.startswith(
        "capcli: error: rows.jsonl exists; --resume goes on with it, --overwrite"
    )
    Path("rows.jsonl").write_text("".join(rows[:2]) + rows[2][:9])
    fake.batches.clear()
    resumed = run_eval(fake, *keep, "--resume")
    assert resumed.stderr.startswith("capcli: captioned 2, skipped 2, failed 0, ")
    assert fake.captioned == 2
    assert Path("rows.jsonl").read_text() == "".join(rows)
    assert without_speed(resumed.stdout) == without_speed(whole.stdout)
    assert run_eval(fake, *keep, "--overwrite").stderr.startswith("capcli: captioned 4, skipped 0")


def without_speed(table: str) -> str:
    """What is printed, without the one line that no second run repeats."""
    lines = table.splitlines(keepends=True)
    kept = [line for line in lines if " images/s captioned on " not in line]
    assert len(kept) == len(lines) - 1
    return "".join(kept)


def test_kept_captions_can_be_scored_later(fake: FakeCaptioner, scored_folder: Path) -> None:
    expected = run_eval(fake, "data", "--predictions-out", "rows.jsonl").stdout
    read = run_score("rows.jsonl", "--references", "data").stdout
    assert read == without_speed(expected).replace("base on", "rows.jsonl on")


def test_an_interrupt_keeps_what_is_done_and_scores_nothing(
    fake: FakeCaptioner, scored_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioned = fake.caption_arrays

    def interrupted(arrays: np.ndarray, options: DecodingOptions) -> list[Any]:
        signal.raise_signal(signal.SIGINT)
        return captioned(arrays, options)

    monkeypatch.setattr(fake, "caption_arrays", interrupted)
    result = run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--batch-size", "2")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("capcli: interrupted: captioned 2, skipped 0, failed 0")
    assert len(Path("rows.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-size", "4"], "rows.jsonl was made with --beam-size 3; you ask for 4; --resume-anyway goes on "),
        (["--sample", "--seed", "4"], "rows.jsonl was made without --sample; you ask for it; --resume-anyway "),
    ],
)
def test_captions_made_otherwise_are_not_gone_on_with(
    fake: FakeCaptioner, scored_folder: Path, options: list[str], message: str
) -> None:
    run_eval(fake, "data", "--predictions-out", "rows.jsonl")
    rows = Path("rows.jsonl").read_bytes()
    result = run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--resume", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert Path("rows.jsonl").read_bytes() == rows
    assert run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--resume-anyway", *options).exit_code == 0
    assert Path("rows.jsonl").read_bytes() == rows
    assert run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--overwrite", *options).exit_code == 0
    assert run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--resume", *options).exit_code == 0


def test_images_without_captions_are_counted_and_not_captioned(fake: FakeCaptioner, scored_folder: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(5)]
    annotations = [{"image_id": i, "caption": f"brightness {i}"} for i in range(3)]
    Path("data/coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    result = run_eval(fake, "data/coco.json")
    assert result.exit_code == 0
    assert result.stdout.startswith("base on coco, 3 images\n")
    assert "capcli: 2 images have no references and are left out, first 3.png" in result.stderr.splitlines()
    assert fake.captioned == 3


def test_a_picture_that_cannot_be_read_is_told_and_not_scored(fake: FakeCaptioner, scored_folder: Path) -> None:
    (scored_folder / "data" / "2.png").write_bytes(b"")
    refused = run_eval(fake, "data", "--predictions-out", "rows.jsonl")
    assert (refused.exit_code, refused.stdout) == (1, "")
    bad, summary, error = refused.stderr.splitlines()
    assert bad == f"capcli: {Path('data/2.png')}: is empty (0 bytes)"
    assert summary.startswith("capcli: captioned 3, skipped 0, failed 1")
    assert error == (
        "capcli: error: 1 of 4 images could not be captioned, so nothing is scored; --allow-missing scores the rest"
    )
    allowed = run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--resume", "--allow-missing")
    assert allowed.exit_code == 1
    assert allowed.stdout.startswith("base on data, test, 3 images\n")
    assert "capcli: not scored: 1 image could not be captioned, first " in allowed.stderr
    Image.new("RGB", (9, 9), (2, 2, 2)).save(scored_folder / "data" / "2.png")
    repaired = run_eval(fake, "data", "--predictions-out", "rows.jsonl", "--resume")
    assert repaired.exit_code == 0
    assert repaired.stdout.startswith("base on data, test, 4 images\n")


def test_a_data_set_without_any_of_its_pictures_is_told_before_the_model_is_loaded(
    fake: FakeCaptioner, scored_folder: Path
) -> None:
    Path("none.csv").write_text("image,caption\nx.png,a dog\ny.png,a cat\n")
    result = run_eval(fake, "none.csv", "--allow-missing")
    assert (result.exit_code, result.stdout, fake.captioned) == (2, "", 0)
    assert "none of its images is on disk, first x.png" in result.stderr


def test_people_who_were_alone_with_their_picture_are_refused_before_the_model_is_loaded(
    fake: FakeCaptioner, scored_folder: Path
) -> None:
    Path("one.csv").write_text("image,caption\ndata/0.png,a dog\ndata/1.png,a cat\n")
    result = run_eval(fake, "one.csv", "--human")
    assert (result.exit_code, result.stdout, fake.captioned) == (2, "", 0)
    assert "no image has two references" in result.stderr
    assert run_eval(fake, "one.csv").exit_code == 0


def test_every_report_is_written(fake: FakeCaptioner, scored_folder: Path) -> None:
    result = run_eval(
        fake, "data", "--human", "--training", "data", "--per-image", "i.csv", "--html", "r.html", "-o", "r.json"
    )
    assert result.exit_code == 0
    assert [row["image"] for row in csv.DictReader(Path("i.csv").read_text().splitlines())] == [
        f"{i}.png" for i in range(4)
    ]
    assert Path("r.html").read_text(encoding="utf-8").count("data:image/jpeg") == 4
    report = json.loads(Path("r.json").read_text())
    assert report["human"]["images"] == 4
    assert report["metrics"]["identical"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'DATASET'"),
        (["data", "--split", "dev"], "data: has no dev split; its images are in test (4), train (1)"),
        (["data/0.png"], "not a dataset; tried Flickr8k"),
        (["absent"], "absent: no such file or folder"),
        (["data", "--model", "absent"], "absent: no such model file"),
        (["data", "--prefix", "unknowable"], "the model does not know the word 'unknowable'"),
        (["data", "-o", "no/r.json"], "-o no/r.json: its folder does not exist; make it first"),
        (["data", "--training", "absent.txt"], "absent.txt: no such file or folder"),
    ],
)
def test_what_cannot_be_done_exits_2(
    fake: FakeCaptioner, scored_folder: Path, arguments: list[str], message: str
) -> None:
    result = run_eval(fake, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert message in line


def test_a_missing_picture_of_the_data_set_is_told(fake: FakeCaptioner, scored_folder: Path) -> None:
    (scored_folder / "data" / "2.png").unlink()
    result = run_eval(fake, "data")
    assert result.exit_code == 2
    assert "data: 1 image is missing on disk, first data/2.png" in result.stderr.replace("\\", "/")
    allowed = run_eval(fake, "data", "--allow-missing")
    assert allowed.exit_code == 0
    assert allowed.stdout.startswith("base on data, test, 3 images\n")
    assert "not scored: 1 image with references has no prediction, first 2.png" in allowed.stderr
    assert run_score(*SAID).exit_code == 0


def test_every_option_is_one_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["eval", "--help"], env={"COLUMNS": "200"}).stdout
    for options in (DatasetOptions, ScoringOptions, ReportOptions, DecodingOptions, ModelOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in help_text


def test_wrong_arguments_import_no_torch(scored_folder: Path) -> None:
    program = "import sys\nfrom capcli.cli import app\ntry: app(sys.argv[1:])\nfinally: print('torch' in sys.modules)\n"
    command = [sys.executable, "-c", program, "eval", "data", "--split", "dev"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout.endswith("False\n")
