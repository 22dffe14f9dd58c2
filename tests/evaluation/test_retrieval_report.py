"""Retrieval figures of a model with a matcher, in every report of `capcli eval`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.captioner import Captioner
from capcli.cli import app
from capcli.evaluation.references import dataset_references
from capcli.evaluation.retrieval import measure_retrieval
from capcli.metrics.retrieval import retrieve
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.runs.session import Session

CAPTIONS = [["a dog runs", "the dog"], ["a ball"], ["the grass", "on the grass", "a dog on the grass"]]


@pytest.fixture(scope="module")
def folder(tiny_checkpoint: Callable[..., Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three noisy pictures, and a model with a matcher."""
    folder = tmp_path_factory.mktemp("matched")
    (folder / "data").mkdir()
    rows, source = [("image", "caption")], np.random.default_rng(0)
    for number, captions in enumerate(CAPTIONS):
        pixels = source.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "data" / f"{number}.png")
        rows += [(f"{number}.png", caption) for caption in captions]
    with (folder / "data" / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    checkpoint = tiny_checkpoint()
    checkpoint.model.add_matcher({"width": 8, "embedding": 6, "heads": 2})
    checkpoint.save(folder / "matching.safetensors")
    return folder


def test_figures_are_those_of_the_captioner_s_similarities(folder: Path) -> None:
    model = ModelOptions(model=str(folder / "matching.safetensors"), device="cpu", batch_size=2)
    calls: list[tuple[int, int]] = []
    with Session(model) as session:
        references = dataset_references(folder / "data")
        found = measure_retrieval(references, session, progress=lambda *done: calls.append(done))
    assert found is not None and calls == [(2, 3), (3, 3)]
    captioner = Captioner.load(model.model, "cpu")
    images = [folder / "data" / f"{number}.png" for number in range(3)]
    alike = captioner.similarities(images, [caption for captions in CAPTIONS for caption in captions])
    assert found.to_json() == retrieve(alike, [0, 0, 1, 2, 2, 2]).to_json()


def test_they_are_in_the_table_the_json_and_the_page(folder: Path) -> None:
    arguments = ["--retrieval", "--no-java", "--bootstrap-samples", "100", "-o", str(folder / "r.json")]
    page = ["--html", str(folder / "r.html"), "--overwrite"]

    def printed(*arguments: str) -> str:
        model = str(folder / "matching.safetensors")
        result = CliRunner().invoke(app, ["eval", str(folder / "data"), "--model", model, *arguments, *page])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    without = printed(*arguments[1:])
    assert json.loads((folder / "r.json").read_text())["retrieval"] is None
    assert "sentence to image" not in without
    with_matcher = printed(*arguments)
    found = json.loads((folder / "r.json").read_text())["retrieval"]
    assert (found["images"], found["sentences"]) == (3, 6)
    for way in ("image to sentence", "sentence to image"):
        figures = found[way]
        assert figures["R@10"] == 1
        (line,) = (line for line in with_matcher.splitlines() if line.startswith(way))
        ratios = [f"{figures[f'R@{k}']:.3f}" for k in (1, 5, 10)]
        assert line.removeprefix(way).split() == [*ratios, f"{figures['median rank']:g}"]
        assert f'<th scope="row">{way}</th><td class="number">{ratios[0]}</td>' in (folder / "r.html").read_text()
    table = [line for line in with_matcher.splitlines() if line.startswith(("metric", "BLEU", "CIDEr-D"))]
    assert table[0] in without.splitlines()


def test_the_model_is_loaded_once_and_sees_each_picture_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batch_sizes, loaded = list[int](), list[str]()
    encode, load = Captioner.encode, Captioner.load
    monkeypatch.setattr(
        Captioner, "encode", lambda self, arrays: batch_sizes.append(len(arrays)) or encode(self, arrays)
    )
    monkeypatch.setattr(Captioner, "load", lambda model, *rest: loaded.append(model) or load(model, *rest))
    command = ["eval", str(folder / "data"), "--model", str(folder / "matching.safetensors"), "--batch-size", "2"]
    command += ["--retrieval", "--no-java", "--bootstrap-samples", "100"]
    keep = ["--predictions-out", str(tmp_path / "rows.jsonl")]
    whole = CliRunner().invoke(app, [*command, *keep, "-o", str(tmp_path / "whole.json")])
    assert whole.exit_code == 0, whole.stderr
    assert (sum(batch_sizes), len(loaded)) == (3, 1)
    # What an earlier run captioned is looked at again for its vector alone.
    rows = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(rows[:2]))
    resumed = CliRunner().invoke(app, [*command, *keep, "--resume", "-o", str(tmp_path / "resumed.json")])
    assert resumed.exit_code == 0, resumed.stderr
    assert (sum(batch_sizes), len(loaded)) == (6, 2)
    figures = [json.loads((tmp_path / name).read_text())["retrieval"] for name in ("whole.json", "resumed.json")]
    assert figures[0] == figures[1]


def test_retrieval_needs_a_matcher(folder: Path, tiny_file: Path) -> None:
    def refusal(*arguments: str | Path) -> str:
        result = CliRunner().invoke(app, ["eval", *map(str, arguments), "--retrieval"])
        assert (result.exit_code, result.stdout) == (2, "")
        return result.stderr

    assert refusal(folder / "data", "--model", tiny_file) == (
        f"capcli: error: --retrieval is by a matcher, and {tiny_file} has none: "
        f"`capcli train matching --from {tiny_file} --data DATA` gives it one\n"
    )


def test_re_ranking_needs_a_matcher(folder: Path, tiny_file: Path) -> None:
    photograph = str(folder / "data" / "0.png")

    def caption(model: Path) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["caption", photograph, "--model", str(model), "--rerank", "0.5"])
        return result.exit_code, result.stderr

    assert caption(folder / "matching.safetensors")[0] == 0
    code, message = caption(tiny_file)
    assert code == 2
    assert message.strip().endswith(
        "rerank needs a model with a matcher: `capcli train matching --from MODEL --data DATA` gives it one"
    )


def test_what_a_model_file_says_of_its_matcher(folder: Path, tiny_file: Path) -> None:
    shown = CliRunner().invoke(app, ["models", "show", str(folder / "matching.safetensors")]).stdout
    assert "width 8, embedding 6, heads 2" in shown
    assert "matcher" not in CliRunner().invoke(app, ["models", "show", str(tiny_file)]).stdout
    assert CliRunner().invoke(app, ["models", "verify", str(folder / "matching.safetensors")]).exit_code == 0
