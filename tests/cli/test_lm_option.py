"""`--lm` on the commands that caption, with tiny models that are there for real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.captioner import Captioner
from capcli.cli import app
from capcli.errors import UsageError
from capcli.modelfile.checkpoint import Checkpoint

# Some of the tiny captioner's words, in another order.
WORDS = ("ball", "the", "runs", "a", "cat")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_language: Callable[..., Checkpoint]) -> Path:
    for number in range(3):
        Image.new("RGB", (80, 60), (90 * number, 30, 200)).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,a dog runs\n" for number in range(3))
    (tmp_path / "captions.csv").write_text(f"image,caption\n{rows}")
    tiny_language(WORDS).save(tmp_path / "lm.safetensors")
    tiny_language(WORDS, max_length=5).save(tmp_path / "short.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("capcli: error: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_a_language_model_changes_captions_and_not_what_they_are_worth(folder: Path, small_file: Path) -> None:
    files = sorted(folder.glob("*.png"))
    alone, beside = Captioner.load(small_file, "cpu"), Captioner.load(small_file, "cpu", folder / "lm.safetensors")
    plain = alone.caption(files)
    assert [str(caption) for caption in beside.caption(files, lm_rescore=0.0)] == [str(caption) for caption in plain]
    led = beside.caption(files, lm_weight=5.0, lm_rescore=0.0)
    assert [str(caption) for caption in led] != [str(caption) for caption in plain]
    for file, caption in zip(files, led, strict=True):
        again = alone.attend(file, caption=caption.text, method="attention")
        assert [w.log_probability for w in caption.words] == pytest.approx(
            [w.log_probability for w in again.words], abs=1e-3
        )
        assert caption.confidence == pytest.approx(again.confidence, rel=1e-2)


@pytest.mark.parametrize("option", ["--lm-weight", "--lm-rescore"])
def test_captions_of_the_command_are_those_of_the_api(folder: Path, small_file: Path, option: str) -> None:
    name = option.removeprefix("--").replace("-", "_")
    beside = Captioner.load(small_file, "cpu", language_model=folder / "lm.safetensors")
    expected = beside.caption(folder / "0.png", **{"lm_rescore": 0.0, name: 4.0})
    weights = [part for flag, value in {"--lm-rescore": "0", option: "4"}.items() for part in (flag, value)]
    given = ["0.png", "--model", str(small_file), "--lm", "lm.safetensors", "--device", "cpu"]
    result = CliRunner().invoke(app, ["caption", *given, *weights])
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{expected}\n", "")


def test_eval_says_which_language_model_there_was(folder: Path, small_file: Path) -> None:
    given = ["--model", str(small_file), "--lm", "lm.safetensors", "--lm-weight", "0.5", "--device", "cpu"]
    result = CliRunner().invoke(app, ["eval", "captions.csv", *given, "--no-java", "-o", "report.json"])
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "report.json").read_text())
    assert (report["language_model"]["name"], report["decoding"]["lm_weight"]) == ("lm", 0.5)


@pytest.mark.slow
def test_what_cannot_be_done_is_one_line(folder: Path, small_file: Path) -> None:
    model = ("--model", str(small_file))
    needs = "needs a language model: add --lm FILE, in Python language_model="
    assert f"lm-weight {needs}" in refusal("caption", "0.png", *model, "--lm-weight", "0.5")
    assert f"lm-rescore {needs}" in refusal("eval", "captions.csv", *model, "--lm-rescore", "0.5")
    assert "absent.safetensors: no such model file" in refusal("caption", "0.png", *model, "--lm", "absent.safetensors")
    assert "lm is a language model and sees no pictures" in refusal("caption", "0.png", "--model", "lm.safetensors")
    assert "no language model but sees pictures" in refusal("caption", "0.png", *model, "--lm", str(small_file))
    assert "max-length must be at most 5 with this language model, not 6" in refusal(
        "caption", "0.png", *model, "--lm", "short.safetensors"
    )
    assert "leads a search and no sampling" in refusal("caption", "0.png", *model, "--lm", "lm.safetensors", "--sample")


def test_options_are_those_of_the_model_and_a_weight(folder: Path, small_file: Path) -> None:
    beside = Captioner.load(small_file, "cpu", language_model=folder / "lm.safetensors")
    weight = beside.options.lm_rescore
    assert weight != 0
    assert beside.options == Captioner.load(small_file, "cpu").options.replace(lm_rescore=weight)
    with pytest.raises(UsageError, match="lm_weight must be a number from 0"):
        beside.caption(folder / "0.png", lm_weight=-1.0)
