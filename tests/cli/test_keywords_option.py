"""`capcli caption --keywords`, around a stand-in for the model and three words beside a tiny one's file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fake_captioner import FakeCaptioner
from PIL import Image
from small_head import HEAD
from typer.testing import CliRunner, Result

from capcli.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_file: Path) -> Path:
    for name, level in (("day", 250), ("night", 10)):
        Image.new("RGB", (9, 9), (level,) * 3).save(tmp_path / f"{name}.png")
    shutil.copy(small_file, tmp_path / "model.safetensors")
    HEAD.save(tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(fake: FakeCaptioner, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["caption", "--model", "model.safetensors", *arguments], obj=fake.load)


def test_rows_and_sidecars_hold_the_keywords(fake: FakeCaptioner, folder: Path) -> None:
    Path("words.txt").write_text("nature\n\tSky\n\tNight\n")
    kinds = [argument for kind in ("txt", "json", "xmp") for argument in ("--sidecar", kind)]
    done = run(fake, "day.png", "night.png", "-q", "--keywords", "2", "--vocabulary", "words.txt", *kinds)
    assert done.stdout == "day.png\tbrightness 250\t[keywords] Sky\nnight.png\tbrightness 10\t[keywords] Night\n"
    assert done.stderr == "capcli: the model does not know 1 of 3 words of the vocabulary, and never gives: 'nature'\n"
    assert Path("day.txt").read_text() == "brightness 250\n[keywords] Sky\n"
    assert json.loads(Path("day.json").read_text())["keywords"][0]["path"] == ["nature", "Sky"]
    assert "<rdf:li>nature|Night</rdf:li>" in Path("night.xmp").read_text()


def test_without_the_option_nothing_is_said_of_keywords(fake: FakeCaptioner, folder: Path) -> None:
    Path("model.keywords").unlink()
    assert "keyword" not in run(fake, "day.png", "--format", "csv").stdout
    done = run(fake, "day.png", "--keywords", "2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("capcli: error: model knows no keywords") and done.stderr.count("\n") == 1


def test_a_run_goes_on_with_the_same_keywords_alone(fake: FakeCaptioner, folder: Path) -> None:
    wanted = ["-o", "rows.csv", "-q", "--keywords", "2", "--vocabulary", "words.txt"]
    Path("words.txt").write_text("Sky\n")
    assert run(fake, "day.png", *wanted).exit_code == 0
    assert run(fake, "day.png", "night.png", *wanted, "--resume").exit_code == 0
    assert len(Path("rows.csv").read_text().splitlines()) == 3
    again = ["-o", "rows.csv", "--resume", "--vocabulary", "words.txt"]
    assert "with --keywords 2; you ask for 3" in run(fake, "day.png", *again, "--keywords", "3").stderr
    Path("words.txt").write_text("Night\n")
    assert "with --vocabulary 'words.txt (SHA-256 " in run(fake, "day.png", *again, "--keywords", "2").stderr
    assert run(fake, "day.png", "-o", "rows.csv", "--resume").exit_code == 2


def test_only_drawings_with_a_place_for_them_take_keywords(fake: FakeCaptioner, folder: Path) -> None:
    done = CliRunner().invoke(app, ["attend", "day.png", "-o", "maps", "--keywords", "2"], obj=fake.load)
    assert (done.exit_code, done.stdout) == (2, "") and "only --as html, npz and json show keywords" in done.stderr
