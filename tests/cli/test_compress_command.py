"""`capcli compress` on a tiny model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.captioner import Captioner
from capcli.catalogue.options import CompressOptions, MeasureOptions
from capcli.cli import app
from capcli.model.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def folder(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and a data set of four dev pictures."""
    tiny_checkpoint().save(tmp_path / "whole.safetensors")
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


def test_the_output_says_size_speed_and_that_nothing_was_scored() -> None:
    done = run(*INT8)
    title, head, size, stored, speed, *rest = done.stdout.splitlines()
    assert title == "whole.safetensors -> small.safetensors"
    assert head.split() == ["before", "after", "change"]
    assert size.endswith("% of the size")
    assert stored.split() == ["stored", "as", "float16", "int8"]
    assert all(float(rate) > 0 for rate in speed.split()[1:3])
    assert "CIDEr-D" not in "".join(rest[:-1])
    assert any("times as fast" in line and ("faster" in line or "slower" in line) for line in rest)
    assert rest[-1].startswith("not scored: --data DATASET")


def test_with_data_captions_are_scored_before_and_after() -> None:
    done = run(*INT8, "--data", "data")
    assert done.exit_code == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("CIDEr-D"))
    before, after, change = row.split()[1:4]
    assert float(change.rstrip(",")) == pytest.approx(float(after) - float(before), abs=0.0011)
    assert " to " in row
    assert "scored on data, dev, 4 images" in done.stdout
    told = [line.partition(": captioned 4,")[0] for line in done.stderr.splitlines()[1:3]]
    assert told == ["capcli: whole", "capcli: small"]
    scores = Checkpoint.load("small.safetensors").scores
    assert scores["data dev"]["images"] == 4
    assert scores["data dev"]["CIDEr-D"] == pytest.approx(float(after), abs=0.001)


def test_json_holds_both_models_and_the_hash_of_the_file() -> None:
    import hashlib

    done = run(*INT8, "--data", "data", "--json")
    before, after = json.loads(done.stdout)["models"]
    assert (before["stored"], after["stored"]) == ("float16", "int8")
    assert after["sha256"] == hashlib.sha256(Path("small.safetensors").read_bytes()).hexdigest()
    assert after["origin"]["sha256"] == before["sha256"]
    assert after["against_the_first"]["differences"]["CIDEr-D"]["difference"] is not None
    assert set(after["speed"]["precision"]) == {"encoder", "decoder"}


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
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
def test_what_is_wrong_is_told_before_anything_is_written(arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert told in line
    assert sorted(path.name for path in Path().iterdir()) == ["data", "whole.safetensors"]


def test_a_model_that_is_not_there() -> None:
    assert run(*INT8, model="absent").stderr.startswith("capcli: error: absent: no such model file")


def test_every_option_is_one_of_the_command() -> None:
    told = CliRunner().invoke(app, ["compress", "-h"], env={"COLUMNS": "200"}).stdout
    for options in (CompressOptions, MeasureOptions):
        for field in dataclasses.fields(options):
            assert f"--{field.name.replace('_', '-')}" in told
