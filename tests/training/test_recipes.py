"""Every recipe that ships, made so small that it learns 32 pictures by heart in seconds."""

from __future__ import annotations

import copy
import csv
import dataclasses
import itertools
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruption import Interrupted, InterruptionAt
from PIL import Image
from safetensors.torch import save_file
from small_encoder import SMALL_ENCODER
from torchvision.models import get_model

from capcli.captioner import Captioner
from capcli.datasets import read_dataset
from capcli.errors import UsageError
from capcli.model.decoders.registry import decoders
from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.model.shapes import shapes_only
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.shipped import find_model
from capcli.pictures.read import to_array
from capcli.training.command import find_recipe, train_model
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.observer import Observer
from capcli.training.recipe import DataRecipe, Recipe
from capcli.training.recipe_reader import build_recipe, read_recipe
from capcli.words.vocabulary import SPECIALS, Vocabulary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = resources.files("capcli") / "recipes"
NAMES = sorted(file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml"))
OBJECTIVES = ("adversarial", "cross-entropy", "scheduled-sampling", "self-critical")
"""Recipes for a model that is trained already; fine-tune and pruned are two more, of the objective cross-entropy."""
# What is held of the others is held of a language model in test_language.py.
ARCHITECTURES = [name for name in NAMES if name not in (*OBJECTIVES, "fine-tune", "pruned", "language-model")]
POOLED = ("merge-add", "merge-concat", "show-and-tell", "two-layer-lstm")
COLOURS = {
    "red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "white": (255, 255, 255),
    "black": (0, 0, 0), "yellow": (230, 230, 0), "purple": (140, 0, 140),
}  # fmt: skip
PAIRS = list(itertools.permutations(COLOURS, 2))[:32]
COPIES = 8
HALF = 160
"""Pictures after which a model knows some of them and not all."""
TINY = {"width": 64, "embedding": 32, "attention_width": 32, "region_width": 64, "heads": 4, "layers": 2}
CPU = torch.device("cpu")


def caption_of(square: str, ground: str) -> str:
    return f"a {square} square on {ground}."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 pictures, each several times over so that an epoch has a few steps, and once more to be judged by."""
    folder = tmp_path_factory.mktemp("squares")
    rows = [("image", "caption", "split")]
    for square, ground in PAIRS:
        picture = Image.new("RGB", (64, 64), COLOURS[ground])
        picture.paste(COLOURS[square], (16, 16, 48, 48))
        for which in ("dev", *range(COPIES)):
            name = f"{square}-{ground}-{which}.png"
            picture.save(folder / name)
            # Twice, since CIDEr-D as a reward wants two captions of a picture.
            rows += [(name, caption_of(square, ground), "dev" if which == "dev" else "train")] * 2
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def weights(data: Path) -> Path:
    """A random encoder whose batch norms fit the pictures; without them colours drown on their way through."""
    torch.manual_seed(0)
    model = get_model(SMALL_ENCODER, weights=None).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    arrays = np.stack([to_array(Image.open(file), 32) for file in sorted(data.glob("*-dev.png"))])
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (EncoderConfig().mean, EncoderConfig().std))
    with torch.no_grad():
        model((torch.from_numpy(arrays).permute(0, 3, 1, 2) / 255 - mean) / std)
    save_file(model.state_dict(), data / "encoder.safetensors")
    return data / "encoder.safetensors"


def shipped(name: str, start: Checkpoint | None = None) -> Recipe:
    return read_recipe(FOLDER / f"{name}.toml", start)


def tiny(name: str, weights: Path, **tables: dict[str, Any]) -> Recipe:
    """A shipped recipe with a tiny encoder, tiny widths and one short stage, after one of pre-training where it has
    that; its choices of architecture stay. `tables` replace its own.
    """
    values: dict[str, Any] = {"data": {}, "decoding": {}, "decoder": {"name": "transformer"}}
    values |= tomllib.loads((FOLDER / f"{name}.toml").read_text()) | tables
    decoder = values["decoder"]
    options = {field.name for field in dataclasses.fields(decoders()[decoder["name"]][0])}
    width = {key: value for key, value in TINY.items() if key in options and (key != "layers" or key in decoder)}
    values["encoder"] = {"name": SMALL_ENCODER, "size": 32, "weights": str(weights)}
    values["decoder"] = decoder | width | {"dropout": 0.0}
    if "region_dropout" in options:
        values["decoder"]["region_dropout"] = 0.0
    values["data"]["min_count"] = 1
    values["decoding"] |= {"beam_size": 1, "max_length": 10}
    values["data"] |= {"temperature": 1.0, "choose_by": []}
    short = {
        "epochs": 20, "batch_size": 32, "captions": 1, "learning_rate": 5e-3, "warmup": 15, "average": 0.9,
        "patience": 1, "features": "cached", "train_from": -1, "anchor": 0.0, "final_learning_rate": 0.05,
        "judge_every": 5,
    }  # fmt: skip
    plain = {"label_smoothing": 0.0, "word_dropout": 0.0}
    stages = values["stage"]
    before = [stage | {"epochs": 3, "warmup": 20} for stage in stages if stage.get("objective") == "autoencoder"]
    stage = next(stage for stage in stages if stage.get("objective") not in ("autoencoder", "language")) | short
    if "matcher" in values:
        # What a captioner is given beside what it has already, comes after a stage that teaches it to speak.
        values["matcher"] |= {"width": 64, "embedding": 32}
        stages = [short | plain, stage | {"temperature": 0.1}]
    else:
        stages = [*before, stage | plain]
    return build_recipe(values | {"stage": stages})


def trained(
    recipe: Recipe, data: Path, folder: Path, start: Checkpoint | None = None
) -> tuple[Captioner, dict[str, float]]:
    """What a run makes that was stopped in its third epoch and went on, and its scores on dev."""
    corpus = Corpus.build([read_dataset(data)], DataRecipe(min_count=1))

    def trainer(observer: Observer) -> Trainer:
        # All recipes share the regions of their encoder.
        return Trainer(
            recipe, corpus, folder / "run", CPU, start=copy.deepcopy(start), cache=data / "cache", observer=observer
        )

    with pytest.raises(Interrupted):
        trainer(InterruptionAt(epoch=2, step=3)).run()
    again = trainer(Observer())
    assert (again.state.position.epoch, again.state.position.step) == (2, 0)
    best = again.run()
    best.save(folder / "model.safetensors")
    return Captioner.load(folder / "model.safetensors", device="cpu"), best.scores["dev " + data.name]


def captions(captioner: Captioner, data: Path, **options: Any) -> list[str]:
    files = [data / f"{square}-{ground}-dev.png" for square, ground in PAIRS]
    return [caption.text for caption in captioner.caption(files, **options)]


EXPECTED = [caption_of(*pair).capitalize() for pair in PAIRS]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_learns_resumes_captions_and_shows_where_it_looks(
    name: str, data: Path, weights: Path, tmp_path: Path
) -> None:
    captioner, scores = trained(tiny(name, weights), data, tmp_path)
    files = [data / f"{square}-{ground}-dev.png" for square, ground in PAIRS[:2]]
    assert captions(captioner, data) == EXPECTED
    if name == "matching":
        assert scores["CIDEr-D"] > 5
        assert scores["recall"] > 0.9
        assert captions(captioner, data, beam_size=3, rerank=1.0) == EXPECTED
    if name in POOLED:
        with pytest.raises(UsageError, match="has no attention to show"):
            captioner.attend(files[0])
        return
    for caption in captioner.attend(files, method="attention"):
        for word in caption.words:
            assert word.attention is not None and word.attention.shape == captioner.grid
            assert word.attention.sum() == pytest.approx(1, abs=1e-5)
            assert (word.sentinel is not None) == (name == "adaptive-attention")


@pytest.fixture(scope="module")
def half_trained(data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A model that does not know all pictures yet."""
    recipe = tiny("base", weights, decoder={"name": "transformer"})
    recipe = dataclasses.replace(
        recipe, stage=(dataclasses.replace(recipe.stage[0], epochs=1, pictures=HALF, views=1, batch_size=8),)
    )
    corpus = Corpus.build([read_dataset(data)], DataRecipe(min_count=1))
    return Trainer(recipe, corpus, tmp_path_factory.mktemp("half"), CPU, cache=data / "cache").run()


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_goes_on_from_a_model_resumes_and_makes_it_better(
    name: str,
    half_trained: Checkpoint,
    data: Path,
    weights: Path,
    tmp_path: Path,
) -> None:
    half_trained.save(tmp_path / "before.safetensors", torch.float32)
    start = Checkpoint.load(tmp_path / "before.safetensors")
    recipe = shipped(name, start)
    assert len(recipe.stage) == 1
    stage = dataclasses.replace(
        recipe.stage[0], epochs=3, pictures=64, batch_size=8, learning_rate=5e-4, warmup=2, average=0.5
    )
    recipe = dataclasses.replace(recipe, stage=(stage,))
    before = captions(Captioner.load(tmp_path / "before.safetensors", device="cpu"), data)
    after = captions(trained(recipe, data, tmp_path, start)[0], data)
    right = [sum(map(str.__eq__, found, EXPECTED)) for found in (before, after)]
    assert right[0] < right[1]


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    """The shipped model; tests leave it as it is."""
    return Checkpoint.load(find_model("base"))


@pytest.mark.parametrize("name", [*OBJECTIVES, "fine-tune", "matching", "pruned"])
def test_recipes_that_go_on_from_a_model_go_on_from_the_one_that_ships(name: str, base: Checkpoint) -> None:
    recipe = shipped(name, base)
    assert recipe.decoder == base.model.config.decoder
    assert recipe.data.max_length == 24
    assert recipe.decoding.replace(rerank=0.0) == base.options


def test_a_recipe_that_there_is_not_lists_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no shipped recipe of that name; near it: soft-attention"):
        train_model("soft-atention", [tmp_path])
    with pytest.raises(
        UsageError, match=r"no shipped recipe of that name; shipped: adaptive-attention, adversarial, .*"
    ):
        find_recipe("zzz")
    assert {find_recipe(name).stem for name in NAMES} == set(NAMES)


def test_recipes_are_those_of_the_field() -> None:
    assert set(NAMES) == {
        "adaptive-attention", "adversarial", "autoencoder", "base", "cross-entropy", "dot-attention",
        "fine-tune", "gru-attention",
        "language-model", "matching", "merge-add", "merge-concat", "multi-head-attention", "pruned",
        "scheduled-sampling", "self-critical", "show-and-tell", "soft-attention", "transformer", "two-layer-lstm",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_what_it_says(name: str, base: Checkpoint) -> None:
    recipe = shipped(name, base if name == "matching" else None)
    config = ModelConfig(EncoderConfig.of(recipe.encoder.name, recipe.encoder.size), recipe.decoder, recipe.matcher)
    with shapes_only():
        model = CaptioningModel(config, Vocabulary([*SPECIALS, "a"]))
    assert (model.decoder.heads == (0, 0)) == (name in (*POOLED, "language-model"))
    assert (model.matcher is not None) == (name == "matching")
    assert {getattr(stage, "doubly_stochastic", 0.0) > 0 for stage in recipe.stage} == {
        name in ("soft-attention", "gru-attention", "dot-attention", "multi-head-attention")
    }
    if name == "soft-attention":
        assert (type(model.decoder).__name__, model.decoder.heads) == ("LSTMDecoder", (1, 1))
    if name == "multi-head-attention":
        assert model.decoder.heads == (1, 8)
    if name == "autoencoder":
        # Beside `transformer` it shows what pre-training brings.
        without, (before, after) = shipped("transformer"), recipe.stage
        assert (recipe.encoder, recipe.decoder, (after,)) == (without.encoder, without.decoder, without.stage)
        assert (before.objective, before.views, before.crop) == ("autoencoder", after.views, after.crop)
    if name in ("two-layer-lstm", "gru-attention"):
        assert recipe.encoder.name == "resnet50"
