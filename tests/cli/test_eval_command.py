"""The command around a stand-in for the model; the real one is run end to end."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.cli import app
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.evaluation.options import ReportOptions, ScoringOptions, SourceOptions
from capcli.model.options import ModelOptions


@dataclass
class FakeCaption:
    text: str
    confidence: float
    uncertain: bool = False
    alternatives: tuple[FakeCaption, ...] = ()
    words: tuple[object, ...] = ()


class FakeCaptioner:
    """Says how bright a picture is, and counts the pictures it saw."""

    name = "base"
    device = "cpu"
    size = 8
    options = DecodingOptions(beam_size=5, max_length=7)
    seen = 0

    def load(self, model: str, device: str, language_model: str | None = None) -> FakeCaptioner:
        return self

    def check(self, options: DecodingOptions) -> None:
        if options.prefix == "unknowable":
            raise UsageError("the model does not know the word 'unknowable'")

    def caption_arrays(self, arrays: np.ndarray, options: DecodingOptions) -> list[FakeCaption]:
        self.seen += len(arrays)
        return [FakeCaption(f"brightness {array.mean():.0f}", array.mean() / 10) for array in arrays]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCaptioner:
    captioner = FakeCaptioner()
    module = types.ModuleType("capcli.captioner")
    module.Captioner = captioner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "capcli.captioner", module)
    return captioner


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of five pictures in two splits, and predictions for its test split."""
    (tmp_path / "data").mkdir()
    rows = ["image,caption,split"]
    for i in range(5):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / "data" / f"{i}.png")
        split = "train" if i == 4 else "test"
        rows += [f"{i}.png,brightness {i},{split}", f"{i}.png,a picture of brightness {i},{split}"]
    (tmp_path / "data" / "captions.csv").write_text("\n".join(rows))
    write(tmp_path / "said.jsonl", {f"{i}.png": f"brightness {i}" for i in range(4)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, said: dict[str, str]) -> None:
    path.write_text("".join(json.dumps({"image": name, "caption": text}) + "\n" for name, text in said.items()))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["eval", *arguments, "--no-java", "--bootstrap-samples", "100"])


SAID = ("--predictions", "said.jsonl", "--references", "data")


def test_a_data_set_is_captioned_and_scored(fake: FakeCaptioner, folder: Path) -> None:
    result = run("data", "-o", "report.json")
    assert result.exit_code == 0
    assert result.stdout.startswith("base on data, test, 4 images\n")
    assert result.stderr.startswith("capcli: captioned 4, skipped 0, failed 0, ")
    report = json.loads(Path("report.json").read_text())
    assert report["metrics"]["ROUGE-L"] == pytest.approx(1)
    assert report["model"]["name"] == "base"
    assert len(report["model"]["sha256"]) == 64
    assert report["decoding"]["beam_size"] == 5
    assert report["images_per_second"] > 0


def test_captions_made_elsewhere_give_the_same_figures(fake: FakeCaptioner, folder: Path) -> None:
    run("data", "-o", "made.json")
    assert run(*SAID, "-o", "read.json").exit_code == 0
    made, read = (json.loads(Path(name).read_text()) for name in ("made.json", "read.json"))
    for key in ("metrics", "intervals", "hashes"):
        assert made[key] == read[key]
    assert fake.seen == 4


@pytest.mark.parametrize(("split", "images"), [("test", 4), ("train", 1), ("all", 5)])
def test_splits(fake: FakeCaptioner, folder: Path, split: str, images: int) -> None:
    run("data", "--split", split, "-o", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert (report["split"], report["images"]) == (split, images)


def test_decoding_options_replace_the_model_s_own(fake: FakeCaptioner, folder: Path) -> None:
    run("data", "--sample", "--seed", "9", "--top-k", "4", "--bootstrap-seed", "3", "-o", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert (report["decoding"]["beam_size"], report["decoding"]["top_k"]) == (5, 4)
    assert report["seeds"] == {"bootstrap": 3, "sampling": 9}


def test_kept_captions_are_not_made_again(fake: FakeCaptioner, folder: Path) -> None:
    keep = ("data", "--predictions-out", "rows.jsonl", "--batch-size", "2")
    whole = run(*keep)
    rows = Path("rows.jsonl").read_text().splitlines(keepends=True)
    assert len(rows) == 4
    assert run(*keep).stderr.startswith("capcli: error: rows.jsonl exists; --resume goes on with it, --overwrite")
    Path("rows.jsonl").write_text("".join(rows[:2]) + rows[2][:9])
    fake.seen = 0
    resumed = run(*keep, "--resume")
    assert resumed.stderr.startswith("capcli: captioned 2, skipped 2, failed 0, ")
    assert fake.seen == 2
    assert Path("rows.jsonl").read_text() == "".join(rows)
    assert without_speed(resumed.stdout) == without_speed(whole.stdout)
    assert run(*keep, "--overwrite").stderr.startswith("capcli: captioned 4, skipped 0")


def without_speed(table: str) -> str:
    """What is printed, without the one line that no second run repeats."""
    lines = table.splitlines(keepends=True)
    kept = [line for line in lines if " images/s captioned on " not in line]
    assert len(kept) == len(lines) - 1
    return "".join(kept)


def test_kept_captions_can_be_scored_later(fake: FakeCaptioner, folder: Path) -> None:
    made = run("data", "--predictions-out", "rows.jsonl").stdout
    read = run("--predictions", "rows.jsonl", "--references", "data").stdout
    assert read == without_speed(made).replace("base on", "rows.jsonl on")


def test_an_interrupt_keeps_what_is_done_and_scores_nothing(
    fake: FakeCaptioner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioned = fake.caption_arrays

    def interrupted(arrays: np.ndarray, options: DecodingOptions) -> list[FakeCaption]:
        signal.raise_signal(signal.SIGINT)
        return captioned(arrays, options)

    monkeypatch.setattr(fake, "caption_arrays", interrupted)
    result = run("data", "--predictions-out", "rows.jsonl", "--batch-size", "2")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("capcli: interrupted: captioned 2, skipped 0, failed 0")
    assert len(Path("rows.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--beam-size", "3"], "rows.jsonl holds captions made with beam size 5, not 3; name another file, or "),
        (["--sample", "--seed", "4"], "rows.jsonl holds captions made with sample False, not True; "),
    ],
)
def test_captions_made_otherwise_are_not_gone_on_with(
    fake: FakeCaptioner, folder: Path, options: list[str], told: str
) -> None:
    run("data", "--predictions-out", "rows.jsonl")
    rows = Path("rows.jsonl").read_bytes()
    result = run("data", "--predictions-out", "rows.jsonl", "--resume", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert Path("rows.jsonl").read_bytes() == rows
    assert run("data", "--predictions-out", "rows.jsonl", "--overwrite", *options).exit_code == 0
    assert run("data", "--predictions-out", "rows.jsonl", "--resume", *options).exit_code == 0


def test_images_without_captions_are_counted_and_not_captioned(fake: FakeCaptioner, folder: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(5)]
    annotations = [{"image_id": i, "caption": f"brightness {i}"} for i in range(3)]
    Path("data/coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    result = run("data/coco.json")
    assert result.exit_code == 0
    assert result.stdout.startswith("base on coco, 3 images\n")
    assert "capcli: 2 images have no references and are left out, first 3.png" in result.stderr.splitlines()
    assert fake.seen == 3


def test_half_a_character_in_a_caption_stops_no_report(folder: Path) -> None:
    write(folder / "said.jsonl", {f"{i}.png": "brightness \ud83d" for i in range(4)})
    result = run(*SAID, "--per-image", "i.csv", "--html", "r.html", "-o", "r.json")
    assert result.exit_code == 0
    assert "brightness \ufffd" in Path("i.csv").read_text(encoding="utf-8")


def test_white_space_reaches_the_tokenizer(folder: Path) -> None:
    # To the COCO toolkit "1 1/2" is one token, unless there are two spaces in it.
    Path("r.json").write_text(json.dumps({f"{i}.png": ["1 1/2 miles"] for i in range(4)}))
    rouge = []
    for caption in ("1 1/2 miles", "1  1/2 miles"):
        write(folder / "said.jsonl", {f"{i}.png": caption for i in range(4)})
        asked = ("--predictions", "said.jsonl", "--references", "r.json", "-o", "report.json", "--overwrite")
        assert run(*asked).exit_code == 0
        rouge.append(json.loads(Path("report.json").read_text())["metrics"]["ROUGE-L"])
    assert rouge[0] == 1
    assert rouge[1] < 1


def test_a_picture_that_cannot_be_read_is_told_and_not_scored(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "data" / "2.png").write_bytes(b"")
    refused = run("data", "--predictions-out", "rows.jsonl")
    assert (refused.exit_code, refused.stdout) == (1, "")
    bad, summary, error = refused.stderr.splitlines()
    assert bad == f"capcli: {Path('data/2.png')}: is empty (0 bytes)"
    assert summary.startswith("capcli: captioned 3, skipped 0, failed 1")
    assert error == (
        "capcli: error: 1 of 4 images could not be captioned, so nothing is scored; --allow-missing scores the rest"
    )
    allowed = run("data", "--predictions-out", "rows.jsonl", "--resume", "--allow-missing")
    assert allowed.exit_code == 1
    assert allowed.stdout.startswith("base on data, test, 3 images\n")
    assert "capcli: not scored: 1 image could not be captioned, first " in allowed.stderr
    Image.new("RGB", (9, 9), (2, 2, 2)).save(folder / "data" / "2.png")
    repaired = run("data", "--predictions-out", "rows.jsonl", "--resume")
    assert repaired.exit_code == 0
    assert repaired.stdout.startswith("base on data, test, 4 images\n")


def test_a_data_set_without_any_of_its_pictures_is_told_before_the_model_is_loaded(
    fake: FakeCaptioner, folder: Path
) -> None:
    Path("none.csv").write_text("image,caption\nx.png,a dog\ny.png,a cat\n")
    result = run("none.csv", "--allow-missing")
    assert (result.exit_code, result.stdout, fake.seen) == (2, "", 0)
    assert "none of its images is on disk, first x.png" in result.stderr


def test_people_who_were_alone_with_their_picture_are_refused_before_the_model_is_loaded(
    fake: FakeCaptioner, folder: Path
) -> None:
    Path("one.csv").write_text("image,caption\ndata/0.png,a dog\ndata/1.png,a cat\n")
    result = run("one.csv", "--human")
    assert (result.exit_code, result.stdout, fake.seen) == (2, "", 0)
    assert "no image has two references" in result.stderr
    assert run("one.csv").exit_code == 0


def test_every_report_is_written(fake: FakeCaptioner, folder: Path) -> None:
    result = run("data", "--human", "--training", "data", "--per-image", "i.csv", "--html", "r.html", "-o", "r.json")
    assert result.exit_code == 0
    assert [row["image"] for row in csv.DictReader(Path("i.csv").read_text().splitlines())] == [
        f"{i}.png" for i in range(4)
    ]
    assert Path("r.html").read_text(encoding="utf-8").count("data:image/jpeg") == 4
    report = json.loads(Path("r.json").read_text())
    assert report["human"]["images"] == 4
    assert report["metrics"]["identical"] == 0


def test_two_files_are_compared(folder: Path) -> None:
    write(folder / "better.jsonl", {f"{i}.png": f"a picture of brightness {i}" for i in range(4)})
    result = run("--compare", "said.jsonl", "better.jsonl", "--references", "data", "-o", "c.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].split()[:5] == ["metric", "A", "B", "B", "-"]
    assert json.loads(Path("c.json").read_text())["differences"]["length"]["difference"] == 3


@pytest.mark.parametrize(
    ("said", "told"),
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
def test_captions_and_references_that_do_not_fit_together(folder: Path, said: dict[str, str], told: str) -> None:
    write(folder / "said.jsonl", said)
    result = run(*SAID)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"capcli: error: {told}\n")


def test_two_captions_of_one_image_are_refused_always(folder: Path) -> None:
    with (folder / "said.jsonl").open("a") as file:
        file.write('{"image": "data/1.png", "caption": "x"}\n')
    result = run(*SAID, "--allow-missing")
    assert result.exit_code == 2
    assert result.stderr == (
        "capcli: error: two predictions for 1.png: said.jsonl, line 2 and said.jsonl, line 5; leave one\n"
    )


def test_what_can_be_scored_is_scored_where_that_is_allowed(folder: Path) -> None:
    write(folder / "said.jsonl", {"0.png": "", "1.png": "一只狗", "9.png": "x"})
    result = run(*SAID, "--allow-missing")
    assert result.exit_code == 0
    assert result.stdout.startswith("said.jsonl on data, test, 2 images\n")
    assert result.stderr.splitlines() == [
        "capcli: not scored: 2 images with references have no prediction, first 2.png; 1 prediction has no references, "
        "first 9.png (said.jsonl, line 3)",
        "capcli: 1 caption is empty and scored as such, like the COCO toolkit does, first 0.png",
        "capcli: 1 caption is in another script, first 1.png; tokenizer and METEOR are made for English",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a DATASET to caption, or --predictions FILE and --references FILE"),
        (["data", *SAID], "--predictions scores captions that are there; name their references by --references"),
        ([*SAID, "--beam-size", "3"], "--beam-size is for captioning a DATASET, and --predictions has its captions"),
        ([*SAID, "--model", "base"], "--model is for captioning a DATASET"),
        (
            ["--compare", "said.jsonl", "said.jsonl", "--references", "data", "--html", "r.html"],
            "--html is for one set of captions; leave it or --compare out",
        ),
        (["data", "--split", "dev"], "data: has no dev split; its images are in test (4), train (1)"),
        (["data/0.png"], "not a dataset; tried Flickr8k"),
        (["absent"], "absent: no such file or folder"),
        (["data", "--model", "absent"], "absent: no such model file"),
        (["data", "--prefix", "unknowable"], "the model does not know the word 'unknowable'"),
        (["data", "-o", "no/r.json"], "-o no/r.json: its folder does not exist; make it first"),
        ([*SAID, "-o", "said.jsonl"], "-o said.jsonl would replace a file that is read; name another"),
        ([*SAID, "--training", "absent.txt"], "absent.txt: no such file or folder"),
    ],
)
def test_what_cannot_be_done_exits_2(fake: FakeCaptioner, folder: Path, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert told in line


def test_a_missing_picture_of_the_data_set_is_told(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "data" / "2.png").unlink()
    result = run("data")
    assert result.exit_code == 2
    assert "data: 1 image is missing on disk, first data/2.png" in result.stderr.replace("\\", "/")
    allowed = run("data", "--allow-missing")
    assert allowed.exit_code == 0
    assert allowed.stdout.startswith("base on data, test, 3 images\n")
    assert "not scored: 1 image with references has no prediction, first 2.png" in allowed.stderr
    assert run(*SAID).exit_code == 0


def test_a_single_image_says_why_cider_is_nothing(folder: Path) -> None:
    write(folder / "said.jsonl", {"4.png": "brightness 4"})
    result = run(*SAID, "--split", "train")
    assert result.exit_code == 0
    assert "capcli: one image alone: its CIDEr is 0 by definition" in result.stderr
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("CIDEr-D"))
    assert row.split()[1] == "0.000"


def test_every_option_is_one_of_the_command() -> None:
    told = CliRunner().invoke(app, ["eval", "--help"], env={"COLUMNS": "200"}).stdout
    for options in (SourceOptions, ScoringOptions, ReportOptions, DecodingOptions, ModelOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in told


def test_scoring_and_wrong_arguments_import_no_torch(folder: Path) -> None:
    program = "import sys\nfrom capcli.cli import app\ntry: app(sys.argv[1:])\nfinally: print('torch' in sys.modules)\n"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for arguments in (["data", "--split", "dev"], [*SAID, "--no-java", "--html", "r.html", "-o", "r.json"]):
        done = subprocess.run(
            [sys.executable, "-c", program, "eval", *arguments], capture_output=True, text=True, env=environment
        )
        assert done.stdout.endswith("False\n")
