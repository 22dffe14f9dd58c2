"""`capcli bench`, with a tiny model."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from preloaded import ForkServer
from typer.testing import CliRunner

from capcli.cli import app


def test_a_model_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "--model", str(tmp_path / "none.safetensors")])
    assert done.exit_code == 2
    assert "no such model file" in done.stderr


def test_pictures_that_do_not_exist_are_one_line(tiny_checkpoint: Any, tmp_path: Path) -> None:
    tiny_checkpoint("transformer").save(tmp_path / "tiny.safetensors")
    given = ["--model", str(tmp_path / "tiny.safetensors"), "--pictures", str(tmp_path / "none")]
    done = CliRunner().invoke(app, ["bench", *given])
    assert done.exit_code == 2
    assert "no such file or folder" in done.stderr


@pytest.fixture
def first_captions(tiny_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has no turn taken, with a model at `tiny.safetensors`; the pictures that were to be captioned first."""
    tiny_checkpoint("transformer").save(tmp_path / "tiny.safetensors")
    pictures: list[str] = []
    found = {"rate": 1.0, "peak": None, "failed": 1, "notes": [], "engine": "onnx", "device": "cpu", "beam_size": 3}

    def time_command(arguments: Sequence[str]) -> tuple[bytes, float]:
        pictures.append(Path(arguments[-1]).name)
        return b"", 1.0

    monkeypatch.setattr("capcli.speed.bench.time_command", time_command)
    monkeypatch.setattr("capcli.speed.bench.take_turn", lambda name, work: found)
    return pictures


def test_the_first_caption_is_of_a_picture_that_can_be_read(tmp_path: Path, first_captions: list[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"no picture")
    given = ["--model", str(tmp_path / "tiny.safetensors"), "--pictures", str(tmp_path / "in"), "--rounds", "1"]
    done = CliRunner().invoke(app, ["bench", *given])
    assert (done.exit_code, first_captions) == (1, [])
    assert "no picture can be read, such as " in done.stderr
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "b.jpg")
    done = CliRunner().invoke(app, ["bench", *given])
    assert (done.exit_code, first_captions) == (0, ["b.jpg", "b.jpg"])


@pytest.fixture
def forked_turns(preloaded: ForkServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has turns forked, since nearly all of each would be importing torch; the modules that ran as programs."""
    ran: list[str] = []

    def time_command(arguments: Sequence[str], given: bytes = b"") -> tuple[bytes, float]:
        _, option, module, *rest = arguments
        assert option == "-m"
        ran.append(module)
        program = f"import runpy\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
        start = time.perf_counter()
        run = preloaded.start(program, [module, *rest], Path.cwd(), os.environ, stdin=given)
        printed, errors = run.communicate()
        assert run.returncode == 0, errors
        return printed, time.perf_counter() - start

    for user in ("bench", "turns"):
        monkeypatch.setattr(f"capcli.speed.{user}.time_command", time_command)
    return ran


@pytest.mark.slow
def test_a_machine_is_measured(tiny_checkpoint: Any, tmp_path: Path, forked_turns: list[str]) -> None:
    tiny_checkpoint("transformer").save(tmp_path / "tiny.safetensors")
    given = ["--model", str(tmp_path / "tiny.safetensors"), "--device", "cpu", "--count", "4", "--rounds", "1"]
    done = CliRunner().invoke(app, ["bench", "--json", *given])
    assert done.exit_code == 0, done.stderr
    # Once beforehand, and the turns of a round.
    assert forked_turns == ["capcli", "capcli.speed.turns", "capcli.speed.turns", "capcli"]
    report = json.loads(done.stdout)
    for name in ("images_per_second", "first_caption_seconds", "encoder_images_per_second", "peak_memory_bytes"):
        assert report[name]["median"] > 0, name
    first_round = report["rounds"][0]
    assert report["times_the_encoder"]["median"] == pytest.approx(first_round["rate"] / first_round["encoder"])
    assert (report["model"]["name"], report["model"]["device"], report["timed_on"][:15]) == (
        "tiny",
        "cpu",
        "4 made pictures",
    )
    assert report["encoder"].startswith("mobilenet_v3_small of 64 x 64 pixels")
