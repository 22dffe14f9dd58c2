"""A model made and then fine-tuned by the command, on pictures of one colour each."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model
from typer.testing import CliRunner, Result

from capcli.captioner import Captioner
from capcli.cli import app
from capcli.datasets import read_dataset
from capcli.datasets.dataset import is_held_out
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.command import train_model
from capcli.training.improvement import measure_gain
from capcli.words.tokens import tokenize

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "white": (255, 255, 255)}
COPIES = 10
MINE = ("everything here is very {}", "everything here is {}", "very {} or {}")
RECIPE = """
name = "first"
[data]
min_count = 1
hold_out = 0.3
[encoder]
name = "mobilenet_v3_small"
size = 32
[decoder]
name = "inject"
width = 24
embedding = 16
max_length = 30
[decoding]
max_length = 7
beam_size = 2
[[stage]]
epochs = {epochs}
batch_size = 4
captions = 1
learning_rate = 5e-3
warmup = 4
average = 0.5
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def table(folder: Path, name: str, captions: Sequence[str], split: str = "") -> Path:
    """COPIES pictures of each colour, whose captions are `captions` in turn with the colour for `{}`."""
    rows: list[Sequence[str]] = [("image", "caption", "split") if split else ("image", "caption")]
    for colour, value in COLOURS.items():
        for copy in range(COPIES):
            image = f"{name}-{colour}-{copy}.png"
            Image.new("RGB", (32, 32), value).save(folder / image)
            caption = captions[copy % len(captions)].replace("{}", colour)
            rows.append((image, caption, split) if split else (image, caption))
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / f"{name}.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows all words of the tests and prefers those of its own captions."""
    folder = tmp_path_factory.mktemp("first")
    torch.manual_seed(0)
    save_file(get_model("mobilenet_v3_small", weights=None).state_dict(), folder / "encoder.safetensors")
    (folder / "first.toml").write_text(RECIPE.format(epochs=2))
    data = table(folder, "first", ["a picture all in {}"])
    with data.open("a") as file:
        file.write("first-red-0.png,everything here is very green white blue or red\n")
    result = run(
        folder / "first.toml", "--data", data, "--encoder-weights", folder / "encoder.safetensors",
        "--run", folder / "run", "-o", folder / "first.safetensors",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{folder / 'first.safetensors'}\n"
    assert "before" not in result.stderr
    return folder / "first.safetensors"


@pytest.fixture
def mine(model: Path, tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return table(tmp_path / "mine", "mine", MINE)


STRONG = (
    "[data]\nhold_out = 0.3\n[[stage]]\nepochs = 8\nbatch_size = 4\ncaptions = 1\nlearning_rate = 1e-2\nwarmup = 1\n"
)
TOLD = re.compile(
    r"mine: (\d+) pictures kept out of training: CIDEr-D (\S+) before, (\S+) after .*"
    r"perplexity (\S+) before, (\S+) after"
)


@pytest.mark.slow
def test_fine_tuning_needs_no_recipe_and_tells_what_it_brought(model: Path, mine: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    result = run("--from", model, "--data", mine, "--run", tmp_path / "run", "-o", tmp_path / "mine.safetensors")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'mine.safetensors'}\n"
    match = TOLD.search(result.stderr)
    assert match, result.stderr
    aside = [image for image in mine.parent.glob("*.png") if is_held_out(image, 0.2)]
    assert int(match[1]) == len(aside) > 0
    assert "capcli: confidence is the mean probability of a caption's words: " in result.stderr
    assert model.read_bytes() == before
    tuned, first = Checkpoint.load(tmp_path / "mine.safetensors"), Checkpoint.load(model)
    assert tuned.options == first.options
    assert tuned.model.vocabulary.words == first.model.vocabulary.words


@pytest.mark.slow
def test_what_training_brought_is_told_of_pictures_that_it_did_not_see(model: Path, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "strong.toml").write_text(STRONG)
    result = run(
        tmp_path / "strong.toml", "--from", model, "--data", mine, "--run", tmp_path / "run",
        "-o", tmp_path / "mine.safetensors",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    match = TOLD.search(result.stderr)
    assert match, result.stderr
    assert 1 <= float(match[5]) < float(match[4]) / 2


@pytest.mark.parametrize("name", ["state.safetensors", "best.safetensors"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_no_model_takes_the_place_of_what_its_run_writes(
    model: Path, mine: Path, tmp_path: Path, name: str, overwrite: tuple[str, ...]
) -> None:
    (tmp_path / "run").mkdir()
    target = tmp_path / "run" / ".." / "run" / name
    refused = run("--from", model, "--data", mine, "-o", target, "--run", tmp_path / "run", *overwrite)
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.endswith("is a file that the run in " + str(tmp_path / "run") + " writes itself; choose another name")
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_a_model_that_is_there_is_replaced_only_where_that_is_asked_for(
    model: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.safetensors").write_bytes(b"hours of work")
    Path("short.toml").write_text("[[stage]]\nepochs = 1\nbatch_size = 8\ncaptions = 1\n")
    asked = ("short.toml", "--from", model, "--data", mine, "-o", "mine.safetensors")
    refused = run(*asked)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "capcli: error: mine.safetensors exists; --overwrite replaces it\n"
    assert Path("mine.safetensors").read_bytes() == b"hours of work"
    assert not Path("runs").exists()
    assert run(*asked, "--overwrite").exit_code == 0
    assert Checkpoint.load("mine.safetensors").model.vocabulary.words == Checkpoint.load(model).model.vocabulary.words


@pytest.mark.slow
def test_pictures_kept_out_are_neither_trained_on_nor_chosen_by(model: Path, mine: Path, tmp_path: Path) -> None:
    """What is told of them changes with their captions, the model does not."""
    rows = list(csv.reader(mine.open(newline="")))
    aside = [row for row in rows[1:] if is_held_out(Path(row[0]), 0.2)]
    for row in aside:
        row[1] = "everything here is white or white"
    other = tmp_path / "other" / "mine"
    other.mkdir(parents=True)
    with (other / "mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for row in rows[1:]:
        (other / row[0]).write_bytes((mine.parent / row[0]).read_bytes())
    first = train_model(None, [mine], start=str(model), output=tmp_path / "one.safetensors", run=tmp_path / "run1")
    second = train_model(
        None, [other / "mine.csv"], start=str(model), output=tmp_path / "two.safetensors", run=tmp_path / "run2"
    )
    assert first.gains["mine"].pictures == second.gains["mine"].pictures == len(aside)
    assert first.gains["mine"].perplexity[1] != second.gains["mine"].perplexity[1]
    models = [Checkpoint.load(trained.file).model for trained in (first, second)]
    assert models[0].vocabulary.words == models[1].vocabulary.words
    for name, tensor in models[0].state_dict().items():
        assert torch.equal(tensor, models[1].state_dict()[name]), name


@pytest.mark.slow
def test_a_model_is_given_a_matcher_and_says_what_it_said(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    data, target = table(tmp_path / "mine", "mine", MINE, "train"), tmp_path / "matching.safetensors"
    lines = data.read_text().splitlines()
    data.write_text("\n".join(line.replace(",train", ",dev") if "-0.png" in line else line for line in lines))
    result = run("matching", "--from", model, "--data", data, "--run", tmp_path / "run", "-o", target)
    assert result.exit_code == 0, result.stderr
    assert "dev recall mine" in result.stderr and "before, " not in result.stderr
    assert Checkpoint.load(model).calibration is None and "too little to fit it to" not in result.stderr
    first, matching = Checkpoint.load(model), Checkpoint.load(target)
    assert matching.model.matcher is not None
    assert (matching.options, matching.calibration) == (first.options, first.calibration)
    name = next(iter(first.scores))
    assert matching.scores[name] == first.scores[name]
    assert matching.scores["dev mine"].keys() == {"recall"}
    images = sorted(data.parent.glob("*-0.png"))
    captions = [[caption.text for caption in Captioner.load(file, "cpu").caption(images)] for file in (model, target)]
    assert captions[0] == captions[1]


def test_a_dev_split_is_said_to_have_chosen(model: Path, tmp_path: Path) -> None:
    data = table(tmp_path, "mine", MINE, "train")
    lines = data.read_text().splitlines()
    data.write_text("\n".join(line.replace(",train", ",dev") if "-0.png" in line else line for line in lines))
    (tmp_path / "short.toml").write_text(
        "[[stage]]\nepochs = 1\nbatch_size = 8\ncaptions = 1\nwarmup = 1\naverage = 0\n"
    )
    result = run(
        tmp_path / "short.toml",
        "--from",
        model,
        "--data",
        data,
        "--run",
        tmp_path / "run",
        "-o",
        tmp_path / "mine.safetensors",
    )
    assert result.exit_code == 0, result.stderr
    assert "4 pictures of the dev split, which chose the weights: CIDEr-D" in result.stderr


def test_neither_a_recipe_nor_a_model_is_one_line(mine: Path) -> None:
    result = run("--data", mine)
    assert result.exit_code == 2
    assert "name a RECIPE (adaptive-attention, " in result.stderr
    assert result.stderr.count("\n") == 1


def test_perplexity_is_that_of_the_log_probabilities(model: Path, mine: Path, tmp_path: Path) -> None:
    items = read_dataset(mine).items[:5]
    first = Checkpoint.load(model)
    gain = measure_gain(first, first, items, torch.device("cpu"))
    assert gain.perplexity[0] == gain.perplexity[1]
    assert (gain.cider_d.value, gain.pictures) == (0, 5)
    captioner = Captioner.load(model, device="cpu")
    arrays = [captioner.prepare(item.image)[None] for item in items]
    captions = [tokenize(item.captions[0]) for item in items]
    logs = np.concatenate(
        [captioner.log_probabilities(array, words)[0] for array, words in zip(arrays, captions, strict=True)]
    )
    assert gain.perplexity[0] == pytest.approx(float(np.exp(-logs.mean())), rel=0.02)


def test_of_a_caption_that_is_too_long_for_the_decoder_the_first_words_count(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    checkpoint = tiny_checkpoint(max_length=6)
    items = read_dataset(table(tmp_path, "long", ["a dog runs on the grass on the grass"])).items[:1]
    gain = measure_gain(checkpoint, checkpoint, items, torch.device("cpu"))
    checkpoint.save(tmp_path / "model.safetensors", torch.float32)
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    array = captioner.prepare(items[0].image)[None]
    logs = captioner.log_probabilities(array, tokenize("a dog runs on the grass"))[0]
    assert gain.perplexity[0] == pytest.approx(float(np.exp(-logs[:6].mean())), rel=0.02)
