"""`capcli faithfulness` in process, with a model of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures of two splits with captions, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    rows = ["image,caption,split"]
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(noise).resize((80, 60)).save(f"data/{number}.png")
        rows.append(f"{number}.png,a dog runs,{'dev' if number < 4 else 'test'}")
    Path("data/captions.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def run(folder: Path, small_file: Path) -> Run:
    def measure(*arguments: object) -> Result:
        command = ["faithfulness", *arguments, "--model", small_file, "--device", "cpu", "--min-length", "4"]
        return CliRunner().invoke(app, list(map(str, command)))

    return measure


def test_all_methods_are_measured_on_the_dev_split(run: Run) -> None:
    done = run("data/captions.csv", "-o", "out")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "tiny on captions, dev"
    assert [line.split()[0] for line in lines[2:6]] == ["gradient", "attention", "occlusion", "random"]
    report = json.loads(Path("out/faithfulness.json").read_text())
    assert (report["images"] + report["images_without_content_words"], report["split"]) == (4, "dev")
    assert report["decoding"]["min_length"] == 4
    assert len(report["model"]["sha256"]) == 64
    assert ElementTree.parse("out/faithfulness.svg").getroot().tag.endswith("svg")


@pytest.mark.usefixtures("closed_stdout")
def test_figures_are_written_where_nobody_reads_the_table(run: Run) -> None:
    assert run("data/captions.csv", "--method", "attention", "--pictures", "1", "-o", "out").exit_code != 0
    assert {file.name for file in Path("out").iterdir()} == {"faithfulness.json", "faithfulness.svg"}


def test_one_method_some_pictures_of_another_split(run: Run) -> None:
    arguments = ("data/captions.csv", "--method", "attention", "--split", "all", "--pictures", "5")
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("tiny on captions, all\n")
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["attention", "random"]
    assert done.stdout == run(*arguments).stdout
    assert not Path("out").exists()


def test_a_picture_that_cannot_be_read_is_told_and_left_out(run: Run) -> None:
    Path("data/1.png").write_bytes(b"nonsense")
    done = run("data/captions.csv", "--method", "gradient", "-o", "out")
    assert done.exit_code == 1
    assert "capcli: data/1.png: is not a picture capcli can read\n" in done.stderr.replace("\\", "/")
    report = json.loads(Path("out/faithfulness.json").read_text())
    assert report["images"] + report["images_without_content_words"] == 3
    assert [Path(path).name for path in report["unreadable"]] == ["1.png"]


def test_where_no_picture_can_be_read_that_is_what_is_told(run: Run) -> None:
    for number in range(4):
        Path(f"data/{number}.png").write_bytes(b"nonsense")
    done = run("data/captions.csv", "-o", "out")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "capcli: error: no picture could be read"
    assert len(done.stderr.splitlines()) == 5
    assert not Path("out").exists()


def test_an_interrupt_leaves_no_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("capcli.evaluation.faithfulness.check", check)
    done = run("data/captions.csv", "-o", "new/out")
    assert (done.exit_code, done.stderr) == (130, "capcli: interrupted\n")
    assert not Path("new").exists()


def test_figures_that_are_there_are_kept(run: Run) -> None:
    Path("out").mkdir()
    Path("out/faithfulness.json").write_text("mine")
    done = run("data/captions.csv", "-o", "out")
    assert done.exit_code == 2
    assert "is there already; --overwrite replaces it" in done.stderr
    assert Path("out/faithfulness.json").read_text() == "mine"
    assert run("data/captions.csv", "--method", "attention", "-o", "out", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'DATASET'"),
        (("data/captions.csv", "--words", "dog"), "No such option: --words"),
        (("data/captions.csv", "--batch-size", "4"), "No such option: --batch-size"),
        (("data/captions.csv", "--num-captions", "3"), "No such option: --num-captions"),
        (("data/captions.csv", "-o", "data/0.png"), "-o takes a folder, and data/0.png is none"),
        (("data/captions.csv", "-o", "x" * 300), "cannot be made (file name too long)"),
        (("data/captions.csv", "-o", ""), "an empty name is no path"),
        (("data/captions.csv", "--split", "dve"), "split must be one of"),
        (("data/captions.csv", "--split", "held-out"), "split must be one of"),
        (("absent",), "absent"),
        (("data/captions.csv", "--method", "guess"), "method must be one of"),
    ],
)
def test_what_does_not_fit_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not Path("out").exists()
