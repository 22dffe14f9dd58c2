"""capcli's commands with a model of Hugging Face, from the pictures to rows, library, maps and figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_families import save_tiny
from typer.testing import CliRunner

from capcli.cli import app
from capcli.output.origin import Origin

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("blip", tmp_path_factory.mktemp("models") / "blip")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with six pictures of two shapes, one of them broken, and what people say of them."""
    noise = np.random.default_rng(0)
    for number in range(6):
        shape = (40, 64) if number % 2 else (64, 40)
        Image.fromarray(noise.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:200])
    rows = [
        {"image": f"{number}.png", "captions": ["a dog runs on the grass"], "split": "dev"}
        for number in (0, 1, 2, 4, 5)
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(blip: Path) -> Callable[..., Any]:
    def run(*arguments: object, code: int = 0) -> Any:
        done = CliRunner().invoke(app, [*map(str, arguments), "--model", str(blip), "--device", "cpu"])
        assert done.exit_code == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_rows_resume_and_origin(run: Callable[..., Any], here: Path, blip: Path) -> None:
    run("caption", ".", "-o", "rows.csv", "--batch-size", 4, code=1)
    with Path("rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in rows] == [f"{number}.png" for number in range(6)]
    assert [row["model"] for row in rows if row["caption"]] == ["blip"] * 5
    assert rows[3]["error"] and not rows[3]["caption"]
    (origin,) = json.loads((here / ".rows.csv.origin.json").read_text())["origins"]
    assert Origin.from_json(origin).model.name == "blip" and len(origin["model"]["sha256"]) == 64

    kept = Path("rows.csv").read_bytes().splitlines()
    Path("rows.csv").write_bytes(b"\n".join(kept[:3]) + b"\n")
    run("caption", ".", "-o", "rows.csv", "--batch-size", 4, "--resume", code=1)
    with Path("rows.csv").open(newline="") as file:
        assert [row["caption"] for row in csv.DictReader(file)] == [row["caption"] for row in rows]
    refused = run("caption", ".", "-o", "rows.csv", "--resume", "--beam-size", 2, code=2)
    assert "was made with --beam-size 1; you ask for 2" in refused.stderr


def test_a_library_has_no_vectors_and_is_searched_by_its_words(run: Callable[..., Any], here: Path) -> None:
    run("caption", "0.png", "1.png", "-o", "photos.db", "--prefix", "a dog")
    info = CliRunner().invoke(app, ["library", "info", "photos.db", "--json"])
    assert json.loads(info.stdout)["vectors"] == 0
    done = run("search", "a dog", "photos.db", "--json")
    assert len(json.loads(done.stdout)) == 2
    assert "has no vectors by" in done.stderr
    refused = run("search", "photos.db", "--like", "0.png", code=2)
    assert "--like needs pictures captioned by" in refused.stderr


def test_words_have_maps(run: Callable[..., Any], here: Path) -> None:
    run("attend", "0.png", "1.png", "-o", "maps", "--as", "json", "--max-length", 4)
    maps = sorted(Path("maps").rglob("*.json"))
    assert len([file for file in maps if not file.name.startswith(".")]) == 2
    run("attend", "0.png", "-o", "grid", "--caption", "a dog runs", "--method", "occlusion")


def test_captions_are_scored_and_heatmaps_checked(run: Callable[..., Any], here: Path) -> None:
    run("eval", "data.jsonl", "--split", "dev", "-o", "report.json", "--no-java", "--max-length", 4)
    report = json.loads(Path("report.json").read_text())
    assert report["model"]["name"] == "blip"
    done = run("faithfulness", "data.jsonl", "--pictures", 2, "--prefix", "dog", "--max-length", 4, "-o", "found")
    assert "gradient" in done.stdout and "occlusion" in done.stdout


def test_the_confidence_is_fitted_kept_and_shown(here: Path, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from capcli.training import calibrate

    scores = np.linspace(0, 1, 60)
    monkeypatch.setattr(calibrate, "judged", lambda *given: (scores * 0.9 + 0.05, scores))
    done = CliRunner().invoke(app, ["models", "calibrate", str(blip), "--data", "data.jsonl", "--device", "cpu"])
    assert done.exit_code == 0, done.stderr
    assert "fitted to 5 captions" in done.stderr and str(here / "home") in done.stderr
    shown = CliRunner().invoke(app, ["models", "show", str(blip), "--json"])
    assert json.loads(shown.stdout)["calibration"]["slope"] > 0
    few = CliRunner()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_DATA_HOME", str(here / "other"))
    done = few.invoke(app, ["models", "calibrate", str(blip), "--data", "data.jsonl", "--device", "cpu"])
    assert done.exit_code == 2 and "takes 50 captions or more" in done.stderr


def test_a_model_is_verified(blip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["models", "verify", str(blip)])
    assert done.exit_code == 0 and "with all its weights" in done.stdout, done.stderr
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in blip.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 20_000 if file.suffix == ".safetensors" else None])
    done = CliRunner().invoke(app, ["models", "verify", str(broken)])
    assert done.exit_code == 1 and "cannot be loaded" in done.stdout and "Traceback" not in done.stdout


def test_weights_that_do_not_fit_are_refused_in_a_line(blip: Path, here: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in blip.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (other / "config.json").write_text(json.dumps(config))
    done = CliRunner().invoke(app, ["caption", "0.png", "--model", str(other), "--device", "cpu"])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1 and "its weights lack" in done.stderr
