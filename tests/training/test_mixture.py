"""Runs on several data sets at once, and on sentences beside pictures."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_encoder import SMALL_ENCODER
from torch.nn.functional import cosine_similarity
from torchvision.models import get_model

from capcli.datasets import read_dataset
from capcli.errors import UsageError
from capcli.model.encoder import Encoder
from capcli.modelfile.checkpoint import Checkpoint
from capcli.pictures.read import read_array
from capcli.training.corpus import Corpus
from capcli.training.feed import Feed
from capcli.training.log import TrainingLog
from capcli.training.loop import Trainer
from capcli.training.recipe import DataRecipe, Recipe
from capcli.training.recipe_reader import build_recipe

CPU = torch.device("cpu")
SIZES = {"large": 27, "small": 3}


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    """Two data sets, the one nine times as large as the other, of two captions a picture."""
    for name, count in SIZES.items():
        folder = tmp_path / name
        folder.mkdir()
        rows = [("image", "caption", "split")]
        for number in range(count + 2):
            Image.new("RGB", (32, 32), (number * 8, 90, 90)).save(folder / f"{name}{number}.png")
            split = "train" if number < count else "dev"
            rows += [(f"{name}{number}.png", f"a {name} thing", split), (f"{name}{number}.png", f"{name} again", split)]
        with (folder / "captions.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return [tmp_path / name for name in SIZES]


@pytest.fixture
def recipe(tiny_settings: Callable[..., dict[str, Any]]) -> Callable[..., Recipe]:
    def build(*stages: dict[str, Any], **data: Any) -> Recipe:
        common = {"batch_size": 4, "warmup": 0, "average": 0.5, "epochs": 1}
        return build_recipe(
            {
                "data": {"min_count": 1} | data,
                "encoder": {"name": SMALL_ENCODER, "size": 32, "weights": "none"},
                "decoder": tiny_settings("transformer", region_layers=1),
                "decoding": {"max_length": 5},
                "stage": [common | stage for stage in stages or ({},)],
            }
        )

    return build


def drawn(recipe: Recipe, corpus: Corpus, folder: Path, epoch: int = 0) -> Counter[str]:
    """How often an epoch shows each picture, by file name."""
    run = Trainer(recipe, corpus, folder, CPU)
    with TrainingLog(folder / "log.csv", None) as log:
        feed = Feed(recipe.stage[0], 0, recipe, corpus, run.setup.references, run.model.encoder, folder, log)
        return Counter(corpus.train[i].image.name for picked, _, _ in feed.batches(epoch, 0) for i in picked)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.1), (0.5, 0.25), (0.0, 0.5)])
def test_the_temperature_sets_the_shares_of_the_data_sets(
    temperature: float, share: float, recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    chosen = recipe(temperature=temperature)
    corpus = Corpus.build([read_dataset(folder) for folder in data], chosen.data)
    counts = drawn(chosen, corpus, tmp_path / "run")
    small = {name: count for name, count in counts.items() if name.startswith("small")}
    assert sum(counts.values()) == sum(SIZES.values())
    assert sum(small.values()) == round(share * sum(SIZES.values()))
    # By turns: no picture comes a second time before all of its data set were there.
    assert max(small.values()) - min(small.values()) <= 1
    assert len(small) == SIZES["small"]


def test_pictures_that_come_twice_in_an_epoch_come_with_other_captions(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    chosen = recipe({"captions": 1}, temperature=0.0)
    corpus = Corpus.build([read_dataset(folder) for folder in data], chosen.data)
    run = Trainer(chosen, corpus, tmp_path / "run", CPU)
    variants: dict[int, set[tuple[int, ...]]] = {}
    with TrainingLog(tmp_path / "log.csv", None) as log:
        feed = Feed(chosen.stage[0], 0, chosen, corpus, run.setup.references, run.model.encoder, tmp_path / "run", log)
        for picked, _, targets in feed.batches(0, 0):
            for picture, words in zip(picked, targets.tolist(), strict=True):
                variants.setdefault(picture, set()).add(tuple(filter(None, words)))
    small = [captions for picture, captions in variants.items() if corpus.train[picture].image.name.startswith("small")]
    assert any(len(captions) == 2 for captions in small)


def test_the_mean_of_the_named_data_sets_chooses(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By large alone the first epoch would be kept, by the mean of both the second is.
    scores = {"large": iter([0.5, 0.4]), "small": iter([0.1, 0.6])}

    def judge(self: Any, model: Any, items: Any, options: Any, regions: Any) -> float:
        return next(scores[items[0].image.parent.name])

    monkeypatch.setattr("capcli.training.objectives.contract.Objective.judge", judge)
    chosen = recipe({"epochs": 2}, choose_by=["large", "small"])
    corpus = Corpus.build([read_dataset(folder) for folder in data], chosen.data)
    kept = Trainer(chosen, corpus, tmp_path / "run", CPU).run()
    assert kept.scores == {"dev large": {"CIDEr-D": 0.4}, "dev small": {"CIDEr-D": 0.6}}


def test_a_data_set_that_shall_choose_must_be_there(recipe: Callable[..., Recipe], data: list[Path]) -> None:
    chosen = recipe(choose_by=["large", "smal"])
    message = (
        "no data set with dev pictures is named 'smal'; large, small are: "
        "add a folder of that name by --data, or name others in a copy of the recipe"
    )
    with pytest.raises(UsageError, match=message):
        Corpus.build([read_dataset(folder) for folder in data], chosen.data)


def test_a_captioner_learns_from_sentences_and_goes_on_with_pictures(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a large thing again\nwords that no caption has\n")
    chosen = recipe({"objective": "language", "learning_rate": 1e-2, "epochs": 3}, {"learning_rate": 1e-9})
    datasets = [read_dataset(path) for path in (*data, text)]
    corpus = Corpus.build(datasets, chosen.data, with_sentences=True)
    run = Trainer(chosen, corpus, tmp_path / "run", CPU)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    after = run.run()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    perplexities = [float(row["score"]) for row in rows if row["metric"] == "perplexity" and row["dev"] == "large"]
    assert len(perplexities) == 3
    assert perplexities[-1] < perplexities[0]
    changed = {name for name, value in after.model.state_dict().items() if not torch.allclose(value, before[name])}
    # What looks at regions has learnt nothing from a place that is empty.
    assert changed
    assert all(name.startswith("decoder.") and not name.startswith("decoder.region_") for name in changed)
    assert any("CIDEr-D" in json.dumps(scores) for scores in after.scores.values())


@pytest.mark.slow
def test_an_anchor_holds_a_model_to_the_encoder_weights_beside_it(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    save_file(get_model(SMALL_ENCODER, weights=None).state_dict(), tmp_path / "other.safetensors")
    chosen = recipe({"train_from": 4, "anchor": 1.0})
    corpus = Corpus.build([read_dataset(folder) for folder in data], chosen.data)
    start = Trainer(recipe(), corpus, tmp_path / "first", CPU).run()
    other = Encoder(start.model.config.encoder)
    other.load_pretrained(str(tmp_path / "other.safetensors"))
    images = np.stack([read_array(item.image, 32) for item in corpus.train])
    with torch.inference_mode():
        expected = {
            "own": start.model.encoder(torch.from_numpy(images)).mean(1),
            "other": other.eval()(torch.from_numpy(images)).mean(1),
        }
    for name, source in (("own", None), ("other", str(tmp_path / "other.safetensors"))):
        run = Trainer(chosen, corpus, tmp_path / name, CPU, start=copy.deepcopy(start), encoder_weights=source)
        run.run()
        anchors = load_file(tmp_path / name / "anchors-1.safetensors")["anchors"]
        assert cosine_similarity(anchors, expected[name]).min() > 0.999
    assert cosine_similarity(expected["own"], expected["other"]).max() < 0.99


def test_sentences_with_unknown_words_are_left_out(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a large thing again\nwords that no caption has\n")
    corpus = Corpus.build([read_dataset(path) for path in (*data, text)], DataRecipe(), with_sentences=True)
    single = corpus.as_sentences(corpus.vocabulary(1))
    captions = 2 * sum(SIZES.values())
    assert len(single.train) == captions + 1
    assert (("a", "large", "thing", "again"),) in single.captions
    assert single.dev == corpus.dev


def test_restoring_mixes_what_the_encoder_was_trained_from_into_it(
    recipe: Callable[..., Recipe], data: list[Path], tmp_path: Path
) -> None:
    trained_from = str(tmp_path / "pretrained.safetensors")
    torch.manual_seed(5)
    save_file(get_model(SMALL_ENCODER, weights=None).state_dict(), trained_from)
    tuned = {"features": "pictures", "train_from": 2, "encoder_learning_rate": 1e-3}
    chosen = recipe(tuned, {"restore": 0.25, "learning_rate": 1e-9})
    corpus = Corpus.build([read_dataset(folder) for folder in data], chosen.data)

    def train(folder: str, recipe: Recipe) -> Checkpoint:
        return Trainer(recipe, corpus, tmp_path / folder, CPU, encoder_weights=trained_from).run()

    forgetful = train("forgetful", dataclasses.replace(chosen, stage=chosen.stage[:1]))
    remembering = train("remembering", chosen)
    begun_from = Encoder(forgetful.model.config.encoder)
    begun_from.load_pretrained(trained_from)
    for trained, before, after in zip(
        forgetful.model.encoder.parameters(),
        begun_from.parameters(),
        remembering.model.encoder.parameters(),
        strict=True,
    ):
        assert torch.allclose(after, 0.75 * trained + 0.25 * before, atol=1e-6)
    assert any(
        not torch.equal(trained, before)
        for trained, before in zip(forgetful.model.encoder.parameters(), begun_from.parameters(), strict=True)
    )
