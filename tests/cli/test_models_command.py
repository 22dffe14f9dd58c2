"""`capcli models` on tiny models; the one that ships is looked at end to end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.cli import app
from capcli.compression.options import MeasureOptions
from capcli.modelfile import shipped
from capcli.modelfile.checkpoint import Checkpoint


@pytest.fixture
def folder(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with two models, the first of which has a card, and a working directory with a picture."""
    weights = tmp_path / "weights"
    weights.mkdir()
    tiny_checkpoint().save(weights / "alpha.safetensors")
    small = dataclasses.replace(tiny_checkpoint(), quantized=True, origin={"model": "alpha", "method": "int8"})
    small.save(weights / "beta.safetensors")
    digest = hashlib.sha256((weights / "alpha.safetensors").read_bytes()).hexdigest()
    (weights / "alpha.md").write_text(f"# Model card: alpha\n\nSHA-256 `{digest}`\n\nIt sees **dogs**.\n")
    Image.new("RGB", (40, 30), (0, 99, 0)).save(tmp_path / "0.png")
    Image.new("RGB", (40, 30), (99, 0, 0)).save(tmp_path / "1.png")
    rows = [{"image": f"{number}.png", "caption": "a dog runs", "split": "dev"} for number in (0, 1)]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(shipped, "_FOLDERS", (weights,))
    monkeypatch.chdir(tmp_path)
    return weights


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_the_list_is_a_line_for_each_model(folder: Path) -> None:
    done = run("list")
    assert (done.exit_code, done.stderr) == (0, "")
    head, alpha, beta = done.stdout.splitlines()
    assert head.split() == ["name", "size", "SHA-256", "chosen", "on", "dev", "CIDEr-D", "test", "CIDEr-D"]
    digest = hashlib.sha256((folder / "alpha.safetensors").read_bytes()).hexdigest()
    megabytes = f"{(folder / 'alpha.safetensors').stat().st_size / 1e6:.1f}"
    assert alpha.split() == ["alpha", megabytes, "MB", digest[:12], "flickr8k", "0.500", "-"]
    assert beta.startswith("beta ")


def test_the_help_of_calibrate_says_what_it_takes() -> None:
    shown = " ".join(run("calibrate", "--help").stdout.split())
    assert "MODEL A captioner of Hugging Face: hf:OWNER/NAME or its folder." in shown
    assert "or COCO JSON. (required)" in shown and "auto, cpu, cuda, cuda:N or mps. (default auto)" in shown


def test_a_broken_model_does_not_hide_the_others(folder: Path) -> None:
    (folder / "alpha.safetensors").write_bytes(b"half")
    done = run("list")
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["name", "beta"]
    (line,) = done.stderr.splitlines()
    assert "alpha.safetensors: not a whole safetensors file" in line


def test_an_installation_without_weights_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_FOLDERS", ())
    done = run("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("capcli: this installation lacks its weights")
    assert json.loads(run("list", "--json").stdout) == []


def test_show_prints_facts_scores_and_card(folder: Path) -> None:
    done = run("show", "alpha")
    assert done.exit_code == 0
    for fact in ("mobilenet_v3_small, 64 x 64 pixels", "transformer, width 16", "8 words", "mostly float16"):
        assert fact in done.stdout
    assert "dev flickr8k    0.500" in done.stdout
    assert done.stdout.endswith((folder / "alpha.md").read_text())
    assert "\x1b" not in done.stdout


def test_show_takes_any_file(folder: Path) -> None:
    done = run("show", folder / "beta.safetensors")
    assert done.exit_code == 0
    assert "mostly int8" in done.stdout
    assert "made from   alpha by int8" in done.stdout
    assert done.stdout.endswith("No card beta.md is beside the file.\n")


def test_json_holds_the_same(folder: Path) -> None:
    listed = json.loads(run("list", "--json").stdout)
    shown = json.loads(run("show", "alpha", "--json").stdout)
    assert [entry["model"] for entry in listed] == ["alpha", "beta"]
    assert shown.pop("card").startswith("# Model card: alpha")
    assert shown == listed[0]
    assert listed[1]["stored"] == "int8"
    assert listed[0]["parameters"] == listed[1]["parameters"]


def test_verify_says_what_it_checked(folder: Path) -> None:
    done = run("verify", "alpha")
    assert (done.exit_code, done.stderr) == (0, "")
    title, *rows = done.stdout.splitlines()
    assert title == f"alpha, {folder / 'alpha.safetensors'}: sound"
    assert [row.split()[:2] for row in rows] == [[name, "ok"] for name in ("hash", "config", "tensors", "values")]


def test_a_damaged_model_fails(folder: Path) -> None:
    file = folder / "alpha.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    done = run("verify", "alpha")
    assert done.exit_code == 1
    assert ": not sound\n" in done.stdout
    assert "hash     FAILED" in done.stdout
    report = json.loads(run("verify", "alpha", "--json").stdout)
    assert report["sound"] is False
    assert [check["check"] for check in report["checks"] if check["passed"] is False] == ["hash"]


def test_models_stand_side_by_side(folder: Path) -> None:
    done = run("compare", "alpha", "beta", "--pictures", "0.png", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    rows = {line[:20].strip(): line for line in done.stdout.splitlines()}
    assert rows["parameters"].split()[1] == rows["parameters"].split()[2]
    assert rows["stored as"].split()[2:] == ["float16", "int8"]
    assert all(float(rate) > 0 for rate in rows["images/s"].split()[1:])
    assert rows["CIDEr-D, dev flickr8"].split()[-2:] == ["0.500", "0.500"]
    assert "images/s: 1 photograph in memory, cpu, median of 5 rounds in turns" in done.stdout
    assert "faster" in done.stdout or "slower" in done.stdout


@pytest.mark.slow
def test_with_data_their_captions_are_scored(folder: Path, tmp_path: Path) -> None:
    done = run("compare", "alpha", "beta", "--data", tmp_path, "--pictures", "0.png", "--device", "cpu", "--json")
    assert done.exit_code == 0, done.stderr
    alpha, beta = json.loads(done.stdout)["models"]
    assert alpha["speed"]["times_the_first"]["median"] == 1
    assert beta["against_the_first"]["images"] == 2
    assert len(beta["against_the_first"]["differences"]["CIDEr-D"]["interval"]) == 2
    table = run("compare", "alpha", "beta", "--data", tmp_path, "--pictures", "0.png", "--device", "cpu").stdout
    assert f"A (alpha) and B (beta) on {tmp_path.name}, dev, 2 images\n" in table
    assert "CIDEr-D, dev flickr8k" not in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "absent"], "absent: no such model file, and no shipped model of that name; shipped: alpha, beta"),
        (["verify", "0.png"], "0.png: not a whole safetensors file"),
        (["compare", "alpha"], "name two models or more"),
        (["compare", "alpha", "alpha"], "alpha is named twice"),
        (["compare", "alpha", "0.png"], "0.png: not a whole safetensors file"),
        (["compare", "alpha", "beta", "--pictures", "absent.jpg"], "no such file or folder"),
        (["compare", "alpha", "beta", "--split", "dev"], "add --data DATASET"),
        (["compare", "alpha", "beta", "--data", "absent"], "absent"),
        (["compare", "alpha", "beta", "--device", "tpu"], "no device named 'tpu'"),
        (["shwo", "alpha"], "No such command 'shwo'"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert message in line


def test_every_option_is_one_of_the_command() -> None:
    help_text = CliRunner().invoke(app, ["models", "compare", "-h"], env={"COLUMNS": "200"}).stdout
    for field in dataclasses.fields(MeasureOptions):
        assert f"--{field.name.replace('_', '-')}" in help_text


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["models", "--help"], ("torch", "numpy", "PIL")),
        (["compress", "--help"], ("torch", "numpy", "PIL")),
        (["models", "list"], ("torch",)),
        (["models", "show", "base"], ("torch",)),
        (["models", "compare", "base", "absent"], ("torch",)),
    ],
)
def test_nothing_heavy_is_imported_without_need(arguments: list[str], unwanted: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from capcli.cli import app\n"
        "try: app(sys.argv[1:])\n"
        f"finally: print('heavy:', [name for name in {unwanted} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.stdout.endswith("heavy: []\n")
