"""`capcli compress` on a tiny model."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.captioner import Captioner
from capcli.cli import app
from capcli.compression.options import CompressOptions, MeasureOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import Calibration
from capcli.modelfile.pruning import zeros


@pytest.fixture(autouse=True)
def folder(small_checkpoint: Callable[..., Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and a data set of four dev pictures."""
    small_checkpoint().save(tmp_path / "whole.safetensors")
    (tmp_path / "data").mkdir()
    rows = []
    for number in range(4):
        Image.new("RGB", (40, 30), (number * 50, 99, 0)).save(tmp_path / "data" / f"{number}.png")
        rows.append({"image": f"{number}.png", "caption": ["a dog runs", "the ball"][number % 2], "split": "dev"})
    (tmp_path / "data" / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object, model: str = "whole.safetensors") -> Any:
    timed = ("--pictures", "data/0.png", "--device", "cpu")
    return CliRunner().invoke(app, ["compress", model, *map(str, arguments), *timed])


INT8 = ("--int8", "-o", "small.safetensors")


@pytest.mark.slow
def test_the_file_is_a_model_of_half_the_size() -> None:
    done = run(*INT8)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == "capcli: wrote small.safetensors\n"
    whole, small = Path("whole.safetensors"), Path("small.safetensors")
    assert small.stat().st_size < 0.6 * whole.stat().st_size
    checkpoint = Checkpoint.load(small)
    assert checkpoint.quantized
    assert checkpoint.scores == {}
    assert checkpoint.origin["model"] == "whole"
    assert checkpoint.origin["scores"] == {"dev flickr8k": {"CIDEr-D": 0.5}}
    assert checkpoint.recipe["name"] == "tiny"
    assert Captioner.load(small, "cpu").caption("data/1.png").text
    assert CliRunner().invoke(app, ["models", "verify", "small.safetensors"]).exit_code == 0


@pytest.mark.parametrize(
    ("hardware", "remark"),
    [
        (False, "int8 makes the file smaller and nothing faster: loaded, its weights are floats again, in float32"),
        (True, "its decoder computes in bfloat16, which was float32"),
    ],
)
def test_the_output_says_size_speed_and_that_nothing_was_scored(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, remark: str
) -> None:
    monkeypatch.setattr("capcli.engines.torch_engine.bfloat16_pays", lambda device: hardware)
    done = run(*INT8)
    title, head, size, stored, speed, *rest = done.stdout.splitlines()
    assert title == "whole.safetensors -> small.safetensors"
    assert head.split() == ["before", "after", "change"]
    assert size.endswith("% of the size")
    assert stored.split() == ["stored", "as", "float16", "int8"]
    assert all(float(rate) > 0 for rate in speed.split()[1:3])
    assert "CIDEr-D" not in "".join(rest[:-1])
    assert any("times as fast" in line and ("faster" in line or "slower" in line) for line in rest)
    assert any(remark in line for line in rest)
    assert rest[-1].startswith("not scored: --data DATASET")


@pytest.mark.slow
def test_with_data_captions_are_scored_before_and_after() -> None:
    done = run(*INT8, "--data", "data")
    assert done.exit_code == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("CIDEr-D"))
    before, after, change = row.split()[1:4]
    assert float(change.rstrip(",")) == pytest.approx(float(after) - float(before), abs=0.0011)
    assert " to " in row
    assert "scored on data, dev, 4 images" in done.stdout
    prefixes = [line.partition(": captioned 4,")[0] for line in done.stderr.splitlines()[1:3]]
    assert prefixes == ["capcli: whole", "capcli: small"]
    scores = Checkpoint.load("small.safetensors").scores
    assert scores["data dev"]["images"] == 4
    assert scores["data dev"]["CIDEr-D"] == pytest.approx(float(after), abs=0.001)


@pytest.mark.slow
def test_json_holds_both_models_and_the_hash_of_the_file() -> None:
    import hashlib

    done = run(*INT8, "--data", "data", "--json")
    before, after = json.loads(done.stdout)["models"]
    assert (before["stored"], after["stored"]) == ("float16", "int8")
    assert after["sha256"] == hashlib.sha256(Path("small.safetensors").read_bytes()).hexdigest()
    assert after["origin"]["sha256"] == before["sha256"]
    assert after["against_the_first"]["differences"]["CIDEr-D"]["difference"] is not None
    assert set(after["speed"]["precision"]) == {"encoder", "decoder"}


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_scored() -> None:
    Path("data/2.png").write_bytes(b"no picture")
    done = run(*INT8, "--data", "data")
    assert done.exit_code == 1
    assert "data/2.png" in done.stderr.replace("\\", "/")
    assert "scored on data, dev, 3 images" in done.stdout


def test_a_file_that_is_there_stays_unless_asked() -> None:
    Path("small.safetensors").write_text("mine")
    done = run(*INT8)
    assert done.exit_code == 2
    assert done.stderr == "capcli: error: small.safetensors exists; --overwrite replaces it\n"
    assert Path("small.safetensors").read_text() == "mine"
    assert run(*INT8, "--overwrite").exit_code == 0
    assert Checkpoint.load("small.safetensors").quantized


def test_an_int8_model_is_not_made_int8_again() -> None:
    assert run(*INT8).exit_code == 0
    done = run("--int8", "-o", "again.safetensors", model="small.safetensors")
    assert done.exit_code == 2
    assert done.stderr == "capcli: error: small.safetensors is stored as int8 already\n"
    assert not Path("again.safetensors").exists()


PRUNE = ("--prune", "0.5", "-o", "small.safetensors")


def zero_share(file: str) -> float:
    found = zeros(Checkpoint.load(file).model).values()
    return sum(int(zero.sum()) for zero in found) / sum(zero.numel() for zero in found)


@pytest.mark.slow
def test_only_what_says_nearly_the_same_keeps_its_confidence() -> None:
    fitted = Calibration(2.0, 1.0)
    dataclasses.replace(Checkpoint.load("whole.safetensors"), calibration=fitted).save("fitted.safetensors")
    for options, kept in ((INT8, fitted), (PRUNE, None)):
        assert run(*options, "--overwrite", model="fitted.safetensors").exit_code == 0
        assert Checkpoint.load("small.safetensors").calibration == kept


@pytest.mark.slow
def test_a_pruned_model_is_smaller_and_the_output_says_that_it_is_not_faster() -> None:
    done = run(*PRUNE)
    assert done.exit_code == 0, done.stderr
    notice, wrote = done.stderr.splitlines()
    assert notice.startswith("capcli: pruned without fine-tuning")
    assert wrote == "capcli: wrote small.safetensors"
    assert Path("small.safetensors").stat().st_size < 0.65 * Path("whole.safetensors").stat().st_size
    checkpoint = Checkpoint.load("small.safetensors")
    assert (checkpoint.pruned, checkpoint.quantized, checkpoint.scores) == (True, False, {})
    assert (checkpoint.origin["method"], checkpoint.recipe["name"]) == ("pruning of 50%", "tiny")
    assert zero_share("small.safetensors") == pytest.approx(0.5, abs=1e-5)
    (stored,) = (line for line in done.stdout.splitlines() if line.startswith("stored as"))
    assert re.fullmatch(r"stored as +float16 +float16, 4\d\.\d% zeros *", stored)
    assert "zeros make the file smaller and nothing faster" in " ".join(done.stdout.split())
    assert Captioner.load("small.safetensors", "cpu").caption("data/1.png").text
    assert CliRunner().invoke(app, ["models", "verify", "small.safetensors"]).exit_code == 0


@pytest.mark.slow
def test_pruning_and_int8_together_and_one_after_the_other() -> None:
    assert run(*PRUNE, "--int8").exit_code == 0
    both = Checkpoint.load("small.safetensors")
    assert (both.pruned, both.quantized, both.origin["method"]) == (True, True, "pruning of 50% and int8")
    assert Path("small.safetensors").stat().st_size < 0.45 * Path("whole.safetensors").stat().st_size
    assert run("--prune", "0.5", "-o", "one.safetensors").exit_code == 0
    assert run("--int8", "-o", "two.safetensors", model="one.safetensors").exit_code == 0
    two = Checkpoint.load("two.safetensors")
    assert (two.pruned, two.quantized) == (True, True)
    assert two.origin["scores"] == both.origin["scores"] == {"dev flickr8k": {"CIDEr-D": 0.5}}
    done = run("--prune", "0.7", "-o", "three.safetensors", model="two.safetensors")
    assert done.exit_code == 0
    assert zero_share("three.safetensors") == pytest.approx(0.7, abs=1e-5)
    assert Checkpoint.load("three.safetensors").quantized
    done = run("--prune", "0.4", "-o", "four.safetensors", model="three.safetensors")
    assert done.exit_code == 2
    assert re.fullmatch(
        r"capcli: error: three\.safetensors: 70\.\d% of its .* zero already; ask for a larger share\n", done.stderr
    )


TUNING = """
name = "short"
[data]
hold_out = 0.25
[[stage]]
epochs = 2
batch_size = 2
learning_rate = 1e-3
average = 0.0
"""


@pytest.fixture
def tuned() -> tuple[str, ...]:
    """Arguments for a short fine-tuning on data of four pictures more."""
    Path("short.toml").write_text(TUNING)
    rows = []
    for number in range(4, 8):
        Image.new("RGB", (40, 30), (number * 30, 9, 90)).save(f"data/{number}.png")
        rows.append({"image": f"{number}.png", "caption": "a dog on the grass", "split": "train"})
    with Path("data/captions.jsonl").open("a") as file:
        file.write("".join(f"\n{json.dumps(row)}" for row in rows))
    return ("--data", "data", "--recipe", "short.toml", "--run", "run")


@pytest.mark.slow
def test_with_data_the_pruned_model_is_fine_tuned_and_scored(tuned: tuple[str, ...]) -> None:
    done = run(*PRUNE, *tuned)
    assert done.exit_code == 0, done.stderr
    assert "before training: dev CIDEr-D data" in done.stderr
    assert "cross-entropy epoch 2" in done.stderr
    assert "scored on data, dev, 4 images" in done.stdout
    found = Checkpoint.load("small.safetensors")
    assert found.scores["data dev"]["images"] == 4
    assert (found.recipe["name"], found.options) == ("tiny", Checkpoint.load("whole.safetensors").options)
    assert found.origin["fine_tuning"]["data"] == ["data"]
    assert found.origin["fine_tuning"]["recipe"]["name"] == "short"
    assert found.origin["fine_tuning"]["recipe"]["decoder"]["name"] == "transformer"
    assert zero_share("small.safetensors") >= 0.5 - 1e-5
    assert Path("run/log.csv").is_file()
    shown = CliRunner().invoke(app, ["models", "show", "small.safetensors"]).stdout
    assert "flickr8k, data" in shown
    # The run is done, so it is not run again; its weights are asked for in another type.
    again = run("--prune", "0.5", "--int8", "-o", "other.safetensors", *tuned)
    assert again.exit_code == 0, again.stderr
    assert "epoch" not in again.stderr
    refused = run("--prune", "0.6", "-o", "third.safetensors", *tuned)
    assert refused.exit_code == 2
    assert "run: holds a run of another recipe or data, or from other weights" in refused.stderr


@pytest.mark.slow
def test_data_without_fine_tuning() -> None:
    done = run(*PRUNE, "--data", "data")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "no picture to train on" in line
    assert line.endswith("; --recipe none leaves fine-tuning out")
    assert not Path("small.safetensors").exists()
    done = run(*PRUNE, "--data", "data", "--recipe", "none")
    assert done.exit_code == 0, done.stderr
    assert "pruned without fine-tuning" in done.stderr
    assert "scored on data, dev, 4 images" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (["--prune", share, "-o", "small.safetensors"], f"above 0 and below 1, such as 0.5, not {share}")
            for share in ("0", "1", "1.5", "-0.5", "nan")
        ),
        ([*INT8, "--recipe", "base"], "--recipe and --run are of the fine-tuning that follows --prune"),
        ([*PRUNE, "--recipe", "base"], "--recipe and --run need --data DATASET"),
        ([*PRUNE, "--run", "here"], "--recipe and --run need --data DATASET"),
        ([*PRUNE, "--data", "data", "--recipe", "prune"], "near it: pruned"),
        (["-o", "small.safetensors"], "say how the model is to be made smaller: --prune SHARE, --int8 or both"),
        (["--int8"], "-o FILE says where the smaller model goes"),
        (["--int8", "-o", "small.bin"], "let its name end in .safetensors"),
        (["--int8", "-o", "data/x/small.safetensors"], "its folder does not exist"),
        (["--int8", "-o", "whole.safetensors", "--overwrite"], "is the model itself"),
        (["--int8", "-o", "./data/../whole.safetensors", "--overwrite"], "is the model itself"),
        ([*INT8, "--data", "absent"], "absent"),
        ([*INT8, "--data", "data", "--split", "test"], "has no test split"),
        ([*INT8, "--split", "dev"], "add --data DATASET"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert message in line
    assert sorted(path.name for path in Path().iterdir()) == ["data", "whole.safetensors"]


def test_a_model_that_is_not_there() -> None:
    assert run(*INT8, model="absent").stderr.startswith("capcli: error: absent: no such model file")


def test_every_option_is_one_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["compress", "-h"], env={"COLUMNS": "200"}).stdout
    for options in (CompressOptions, MeasureOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in help_text


def test_what_cannot_be_measured_is_refused_before_anything_is_written(
    tiny_language: Callable[..., Checkpoint],
) -> None:
    tiny_language(("a", "thing")).save("lm.safetensors")
    refused = run(*INT8, model="lm.safetensors")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "lm.safetensors is a language model, and compress is for captioning models" in refused.stderr
    refused = CliRunner().invoke(app, ["compress", "whole.safetensors", *INT8, "--pictures", "data/captions.jsonl"])
    assert refused.exit_code == 2
    assert "no picture to take the time on can be read: " in refused.stderr
    assert not Path("small.safetensors").exists()
