"""Pre-training of the region encoder, and pictures without captions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small_encoder import SMALL_ENCODER
from torch import Tensor
from torch.nn import functional as F
from typer.testing import CliRunner

from capcli.cli import app
from capcli.datasets import Item, read_dataset
from capcli.decoding.options import DecodingOptions
from capcli.errors import DatasetError, UsageError
from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.objectives.autoencoder import Autoencoder
from capcli.training.objectives.contract import Batch
from capcli.training.observer import Observer
from capcli.training.recipe import DataRecipe, Recipe
from capcli.training.recipe_reader import build_recipe
from capcli.training.stage import Stage
from capcli.words.vocabulary import SPECIALS, Vocabulary

CPU = torch.device("cpu")
KINDS = 6
Build = Callable[..., Recipe]


@pytest.fixture
def recipe(tiny_settings: Callable[..., dict[str, Any]]) -> Build:
    def build(*stages: dict[str, Any], decoder: str = "transformer", **options: Any) -> Recipe:
        settings = tiny_settings(decoder, **{"region_layers": 1, "dropout": 0.0} | options)
        return build_recipe(
            {
                "data": {"min_count": 1},
                "encoder": {"name": SMALL_ENCODER, "size": 32, "weights": "none"},
                "decoder": settings,
                "decoding": {"max_length": 7},
                "stage": [{"objective": "autoencoder", "batch_size": 4, "warmup": 2} | stage for stage in stages],
            }
        )

    return build


def regions_of(count: int, seed: int, width: int, places: int = 4) -> Tensor:
    """Pictures of one of a few kinds each: a region is the kind's and the place's vector, and a little noise."""
    known = torch.Generator().manual_seed(0)
    kinds, where = torch.randn(KINDS, 1, width, generator=known), torch.randn(places, width, generator=known)
    source = torch.Generator().manual_seed(seed)
    chosen = torch.randint(KINDS, (count,), generator=source)
    return kinds[chosen] + where + 0.1 * torch.randn(count, places, width, generator=source)


def judged(objective: Autoencoder, model: CaptioningModel, regions: Tensor) -> float:
    items = [Item(Path(str(number)), (), "dev") for number in range(len(regions))]

    def held(files: Sequence[Path]) -> Tensor:
        return regions[[int(file.name) for file in files]]

    model.eval()
    score = objective.judge(model, items, DecodingOptions(), held)
    model.train()
    return score


@pytest.fixture
def model(tiny_settings: Callable[..., dict[str, Any]]) -> Callable[..., CaptioningModel]:
    def build(decoder: str) -> CaptioningModel:
        torch.manual_seed(0)
        width = {"width": 32} if decoder == "transformer" else {"region_width": 32}
        settings = tiny_settings(decoder, region_layers=1, dropout=0.0, **width)
        return CaptioningModel(ModelConfig(EncoderConfig(SMALL_ENCODER, 32), settings), Vocabulary([*SPECIALS]))

    return build


@pytest.mark.parametrize("decoder", ["transformer", "merge"])
def test_hidden_regions_are_told_from_the_others(decoder: str, recipe: Build, model: Any) -> None:
    chosen = recipe({"masked": 0.5}, decoder=decoder)
    trained = model(decoder)
    objective = Autoencoder(chosen.stage[0], chosen, trained, [])
    width = trained.encoder.width
    dev = regions_of(64, 9, width)
    before = judged(objective, trained, dev)
    assert before < 0.05
    parameters = [p for n, p in trained.named_parameters() if objective.trains(n)]
    optimizer = torch.optim.AdamW([*parameters, *objective.parameters()], lr=1e-2)
    for step in range(60):
        torch.manual_seed(step)
        batch = Batch(regions_of(16, 100 + step, width), range(16), torch.zeros(0, 0), 0.0)
        loss, _ = objective.loss(trained, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = judged(objective, trained, dev)
    assert after > 0.7, "the place alone, without the other regions, explains half"
    assert judged(objective, trained, dev) == after, "the same regions are hidden each time"
    # Regions that have nothing to do with their neighbours cannot be told: to hand on what is seen does not pay.
    assert judged(objective, trained, torch.randn(64, 4, width)) < 0.05


def test_the_loss_is_of_hidden_regions_alone(recipe: Build, model: Any) -> None:
    """With a region encoder that gives what it gets, seen regions would be told without error."""
    chosen = recipe({"masked": 0.5})
    trained = model("transformer")
    objective = Autoencoder(chosen.stage[0], chosen, trained, [])
    width = trained.encoder.width
    trained.decoder.encode = lambda regions: regions
    objective.head = torch.nn.Identity()
    with torch.no_grad():
        objective.mask.zero_()
    regions = F.layer_norm(regions_of(8, 1, width), (width,))
    loss, _ = objective.loss(trained, Batch(regions, range(8), torch.zeros(0, 0), 0.0))
    assert loss.item() == pytest.approx(1, abs=1e-3), "of normalised regions 0 is told with an error of 1"
    # Told 0, the error is the sum of squares, and above the variance by that of the mean.
    dev = regions[:, :1].expand(-1, 4, -1)
    flat = dev.flatten(0, 1).double()
    assert judged(objective, trained, dev) == pytest.approx(
        float(1 - flat.square().sum() / (flat - flat.mean(0)).square().sum()), abs=1e-6
    )


@pytest.mark.parametrize(("masked", "count"), [(0.5, 8), (0.75, 12), (0.01, 1), (0.99, 15)])
def test_of_each_picture_the_share_is_hidden(masked: float, count: int, recipe: Build, model: Any) -> None:
    chosen = recipe({"masked": masked})
    trained = model("transformer")
    objective = Autoencoder(chosen.stage[0], chosen, trained, [])
    width = trained.encoder.width
    inputs: list[Tensor] = []
    trained.decoder.encode = lambda regions: (inputs.append(regions), torch.zeros(*regions.shape[:2], 32))[1]
    regions = torch.randn(5, 16, width)
    objective.loss(trained, Batch(regions, range(5), torch.zeros(0, 0), 0.0))
    hidden = (inputs[0] == objective.mask).all(-1)
    assert hidden.sum(1).tolist() == [count] * 5
    assert torch.equal(inputs[0][~hidden], regions[~hidden])
    assert not torch.equal(hidden[0], hidden[1])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures with captions, two of them dev and one test."""
    folder = tmp_path_factory.mktemp("data") / "labelled"
    rows = []
    for number in range(8):
        picture(folder / f"{number}.png", number)
        split = {6: "dev", 7: "dev", 5: "test"}.get(number, "train")
        rows.append({"image": f"{number}.png", "caption": f"a picture of {'ab'[number % 2]}", "split": split})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def picture(path: Path, number: int) -> None:
    image = Image.new("RGB", (64, 64), (30 * number % 256, 70 * number % 256, 200))
    image.paste((200, 30 * number % 256, 0), (0, 0, 32, 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.mark.parametrize("decoder", ["transformer", "gru"])
def test_a_stage_trains_the_region_encoder_alone(decoder: str, recipe: Build, data: Path, tmp_path: Path) -> None:
    corpus = Corpus.build([read_dataset(data)], DataRecipe(min_count=1))
    trainer = Trainer(recipe({"epochs": 2, "average": 0.5}, decoder=decoder), corpus, tmp_path / "run", CPU)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trained = trainer.run()
    moved = {name for name, value in trained.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("decoder.region_")}
    assert set(trained.scores["dev labelled"]) == {"reconstruction"}
    trained.save(tmp_path / "model.safetensors")
    assert Checkpoint.load(tmp_path / "model.safetensors").scores == trained.scores


@pytest.mark.slow
def test_pictures_without_captions_are_trained_on_and_held_out_ones_are_not(
    recipe: Build, data: Path, tmp_path: Path
) -> None:
    for number in (10, 11, 12):
        picture(tmp_path / "more" / "below" / f"{number}.png", number)
    for number in (0, 5, 6):
        (tmp_path / "more" / f"link-{number}.png").symlink_to(data / f"{number}.png")
    found = sorted((tmp_path / "more").rglob("*.png"))
    corpus = Corpus.build([read_dataset(data)], DataRecipe(min_count=1), unlabelled=found)
    assert [path.name for path in corpus.unlabelled] == ["10.png", "11.png", "12.png"]
    assert len(corpus.train) == 5

    learnt: dict[str, set[int]] = {"autoencoder": set(), "cross-entropy": set()}

    class Notes(Observer):
        def before_step(self, stage: Stage, batch: Batch) -> None:
            learnt[stage.recipe.objective].update(batch.pictures)

    chosen = recipe({"epochs": 1, "views": 1}, {"epochs": 1, "objective": "cross-entropy"}, {"features": "pictures"})
    Trainer(chosen, corpus, tmp_path / "run", CPU, observer=Notes()).run()
    assert learnt == {"autoencoder": set(range(8)), "cross-entropy": set(range(5))}


def test_the_regions_of_a_data_set_are_cached_once_for_runs_with_and_without_further_pictures(
    recipe: Build, data: Path, tmp_path: Path
) -> None:
    picture(tmp_path / "more.png", 3)
    files = []
    for number, others in enumerate(([], [tmp_path / "more.png"])):
        corpus = Corpus.build([read_dataset(data)], DataRecipe(min_count=1), unlabelled=others)
        chosen = recipe({"epochs": 1}, {"epochs": 1, "objective": "cross-entropy"})
        Trainer(chosen, corpus, tmp_path / f"run-{number}", CPU, cache=tmp_path / "cache").run()
        files.append({file.name for file in (tmp_path / "cache").glob("*.npy")})
    assert len(files[0]) == 1
    assert len(files[1]) == 2


def test_a_run_with_other_pictures_is_another_run(recipe: Build, data: Path, tmp_path: Path) -> None:
    picture(tmp_path / "more.png", 3)
    datasets, chosen = [read_dataset(data)], recipe({"epochs": 1})
    Trainer(chosen, Corpus.build(datasets, chosen.data), tmp_path / "run", CPU).run()
    with pytest.raises(UsageError, match="another recipe or data"):
        Trainer(chosen, Corpus.build(datasets, chosen.data, unlabelled=[tmp_path / "more.png"]), tmp_path / "run", CPU)


def test_pictures_that_the_data_sets_name_already(data: Path) -> None:
    with pytest.raises(DatasetError, match="every unlabelled picture already"):
        Corpus.build([read_dataset(data)], DataRecipe(), unlabelled=[data / "1.png", data / "6.png"])


@pytest.mark.parametrize(
    ("stage", "decoder", "message"),
    [
        ({}, {"name": "lstm"}, "the decoder lstm has region_layers = 0; set it to at least 1"),
        ({}, {"name": "transformer", "region_layers": 0}, "stage 1: .* transformer has region_layers = 0"),
        ({"masked": 0.0}, {}, "stage 1: masked must be a number above 0 and below 1"),
        ({"masked": 1.0}, {}, "stage 1: masked must be a number above 0 and below 1"),
        ({"features": "pictures", "train_from": 2}, {}, "which must not move; leave train_from out"),
    ],
)
def test_what_an_autoencoder_cannot_be(stage: dict[str, Any], decoder: dict[str, Any], message: str) -> None:
    settings = {"name": "transformer"} | decoder
    with pytest.raises(UsageError, match=message):
        build_recipe({"decoder": settings, "stage": [{"objective": "autoencoder"} | stage]})


def test_a_single_region_cannot_be_told_from_others(recipe: Build, model: Any) -> None:
    trained = model("transformer")
    trained.encoder.grid = (1, 1)
    chosen = recipe({})
    with pytest.raises(UsageError, match=f"{SMALL_ENCODER} gives one region of 32 pixels"):
        Autoencoder(chosen.stage[0], chosen, trained, [])


@pytest.fixture
def train(
    write_recipe: Callable[..., Path], tiny_settings: Callable[..., dict[str, Any]], data: Path, tmp_path: Path
) -> Callable[..., Any]:
    """Runs `capcli train` with a recipe of one stage."""

    def run(objective: str, *options: object) -> Any:
        encoder = {"name": SMALL_ENCODER, "size": 32, "weights": "none"}
        decoder = tiny_settings("lstm", region_layers=1)
        recipe = write_recipe({"objective": objective, "epochs": 1}, encoder=encoder, decoder=decoder)
        fixed = ("--output", tmp_path / "model.safetensors", "--run", tmp_path / "run", "--device", "cpu")
        return CliRunner().invoke(app, list(map(str, ("train", recipe, "--data", data, *fixed, *options))))

    return run


def test_the_command_takes_folders_of_pictures(train: Callable[..., Any], tmp_path: Path) -> None:
    for number in (10, 11):
        picture(tmp_path / "one" / "below" / f"{number}.png", number)
    picture(tmp_path / "other" / "12.png", 12)
    done = train("autoencoder", "--unlabelled", tmp_path / "one", "--unlabelled", tmp_path / "other")
    assert done.exit_code == 0, done.output
    assert "3 pictures without captions beside 5 with them" in done.stderr
    assert "dev reconstruction labelled" in done.stderr
    assert Checkpoint.load(tmp_path / "model.safetensors").recipe["stage"][0]["objective"] == "autoencoder"


def test_pictures_without_captions_need_a_stage_that_has_a_use_for_them(
    train: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    done = train("cross-entropy", "--unlabelled", data)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert '--unlabelled is for stages with objective = "autoencoder"' in done.stderr
    (tmp_path / "empty").mkdir()
    done = train("autoencoder", "--unlabelled", tmp_path / "empty")
    assert done.exit_code == 2
    assert "no pictures in" in done.stderr
    assert not (tmp_path / "run").exists()
