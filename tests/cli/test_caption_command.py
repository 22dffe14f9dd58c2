"""The command's loop around a stand-in for the model; the sentences themselves are tested end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.cli import app
from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError


@dataclass
class FakeCaption:
    text: str
    confidence: float


class FakeCaptioner:
    """Says how bright a picture is, and remembers what it was asked."""

    name = "fake"
    size = 8
    options = DecodingOptions(beam_size=5, max_length=7)
    asked: list[DecodingOptions]
    batches: list[int]

    def __init__(self) -> None:
        self.asked, self.batches = [], []

    def load(self, model: str, device: str) -> FakeCaptioner:
        if model == "absent":
            raise ModelError("no model absent; those there are: base")
        return self

    def caption_arrays(self, arrays: np.ndarray, options: DecodingOptions) -> list[FakeCaption]:
        self.asked.append(options)
        self.batches.append(len(arrays))
        return [FakeCaption(f"brightness {array.mean():.0f}", 0.5) for array in arrays]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCaptioner:
    captioner = FakeCaptioner()
    module = types.ModuleType("capcli.captioner")
    module.Captioner = captioner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "capcli.captioner", module)
    return captioner


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(5):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_file_gives_the_sentence_alone(fake: FakeCaptioner, folder: Path) -> None:
    result = CliRunner().invoke(app, ["caption", "3.png"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "brightness 3\n", "")


def test_a_folder_gives_rows_even_with_one_picture_in_it(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "one").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "one" / "a.png")
    result = CliRunner().invoke(app, ["caption", "one"])
    assert result.stdout == f"{Path('one/a.png')}\tbrightness 0\n"


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_bad_file_costs_one_line_and_the_exit_code(fake: FakeCaptioner, folder: Path, batch_size: int) -> None:
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_text("text")
    result = CliRunner().invoke(app, ["caption", ".", "--batch-size", str(batch_size)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"{i}.png\tbrightness {i}" for i in (0, 3, 4)]
    assert result.stderr.splitlines() == [
        "capcli: 1.png: is empty (0 bytes)",
        "capcli: 2.png: is not a picture capcli can read",
    ]
    assert sum(fake.batches) == 3


def test_json_has_a_line_for_every_file(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    result = CliRunner().invoke(app, ["caption", "0.png", "1.png", "--json"])
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"path": "0.png", "caption": "brightness 0", "confidence": 0.5, "model": "fake"},
        {"path": "1.png", "error": "is empty (0 bytes)"},
    ]


def test_options_given_replace_the_model_s_own(fake: FakeCaptioner, folder: Path) -> None:
    CliRunner().invoke(app, ["caption", "0.png"])
    CliRunner().invoke(app, ["caption", "0.png", "--beam-size", "1"])
    assert fake.asked == [
        DecodingOptions(beam_size=5, max_length=7),
        DecodingOptions(beam_size=1, max_length=7),
    ]


def test_a_model_that_is_not_there_exits_2(fake: FakeCaptioner, folder: Path) -> None:
    result = CliRunner().invoke(app, ["caption", "0.png", "--model", "absent"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "capcli: error: no model absent; those there are: base\n"


def test_a_name_cannot_forge_a_line_of_errors(fake: FakeCaptioner, folder: Path) -> None:
    (folder / "a\nb.png").touch()
    result = CliRunner().invoke(app, ["caption", "a\nb.png"])
    assert result.stderr == "capcli: a\\nb.png: is empty (0 bytes)\n"


def test_an_interrupt_is_one_line_and_exits_130(
    fake: FakeCaptioner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(arrays: np.ndarray, options: DecodingOptions) -> list[FakeCaption]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "caption_arrays", interrupted)
    result = CliRunner().invoke(app, ["caption", "."])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "capcli: interrupted\n")


PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import types
from test_caption_command import FakeCaptioner
sys.modules["capcli.captioner"] = types.SimpleNamespace(Captioner=FakeCaptioner())
from capcli.cli import main
main()
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "caption", *arguments]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_undecodable_names_reach_stdout_as_they_are(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "0.png").rename(folder / name)
    done = subprocess.run(command(".", "--batch-size", "2"), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"caf\xe9.png\tbrightness 0\n" in done.stdout


def test_damaged_tiffs_are_told_in_capcli_s_words_only(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "bad.tif", compression="tiff_lzw")
    content = bytearray((folder / "bad.tif").read_bytes())
    content[100:400] = b"\xff" * 300
    (folder / "bad.tif").write_bytes(content)
    done = subprocess.run(command("0.png", "bad.tif"), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "0.png\tbrightness 0\n"
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("capcli: bad.tif: is damaged")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_enough_ends_it_quietly(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command("."), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
