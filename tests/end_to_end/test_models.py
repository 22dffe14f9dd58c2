"""`capcli compress` and `capcli models` as users run them, on the model that ships."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.shipped import find_model

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def compressed(capcli: Run, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command printed, and the file that it wrote."""
    folder = tmp_path_factory.mktemp("models")
    done = capcli("compress", "base", "--int8", "-o", "small.safetensors", "--pictures", examples, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "capcli: wrote small.safetensors\n")
    return done.stdout, folder / "small.safetensors"


@pytest.mark.slow
def test_the_int8_model_is_at_most_60_percent_and_the_output_says_how_fast(compressed: tuple[str, Path]) -> None:
    printed, file = compressed
    assert file.stat().st_size <= 0.6 * find_model("base").stat().st_size
    # What base expects of a picture goes along.
    words, base_words = (ExpectedWords.of_model(model) for model in (file, find_model("base")))
    assert (
        words is not None
        and base_words is not None
        and words.words == base_words.words
        and words.share == base_words.share > 0
    )
    assert printed.startswith("base -> small.safetensors\n")
    assert any(line.startswith(("faster: ", "slower: ", "neither ")) for line in printed.splitlines())
    assert "not scored: --data DATASET" in printed


@pytest.mark.slow
def test_it_captions_and_attends_like_any_other(
    capcli: Run, compressed: tuple[str, Path], captions: dict[str, str], examples: Path, tmp_path: Path
) -> None:
    done = capcli("caption", examples, "--model", compressed[1])
    assert done.returncode == 0
    texts = {Path(path).stem: text for path, text in (line.split("\t") for line in done.stdout.splitlines())}
    assert texts.keys() == captions.keys()
    # Rounding turns a caption here and there, never all of them.
    assert sum(texts[name] == captions[name] for name in texts) >= 2
    drawn = capcli("attend", examples / "cat.jpg", "--model", compressed[1], "-o", tmp_path / "maps")
    assert drawn.returncode == 0, drawn.stderr


def test_the_shipped_model_is_listed_and_sound(capcli: Run) -> None:
    (base,) = json.loads(capcli("models", "list", "--json").stdout)
    assert base["model"] == "base"
    assert base["scores"]["dev flickr8k"]["CIDEr-D"] > 0.6
    verified = capcli("models", "verify", "base")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert f"hash     ok  SHA-256 {base['sha256']}, as the card base.md says" in verified.stdout
    shown = capcli("models", "show", "base")
    assert shown.stdout.endswith(find_model("base").with_suffix(".md").read_text(encoding="utf-8"))


def test_a_copy_cut_short_is_refused(capcli: Run, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(find_model("base").read_bytes()[:1_000_000])
    done = capcli("models", "verify", "cut.safetensors", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("capcli: error: cut.safetensors: not a whole safetensors file")


@pytest.mark.slow
def test_both_stand_side_by_side(capcli: Run, compressed: tuple[str, Path], examples: Path) -> None:
    done = capcli("models", "compare", "base", compressed[1], "--pictures", examples / "cat.jpg", "--json")
    assert done.returncode == 0, done.stderr
    base, small = json.loads(done.stdout)["models"]
    assert (base["stored"], small["stored"]) == ("float16", "int8")
    assert base["parameters"] == small["parameters"] > 28_000_000
    assert base["chosen_on"] == small["chosen_on"] == ["flickr8k", "coco_more", "open_world"]
