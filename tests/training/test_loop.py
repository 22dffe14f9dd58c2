"""Whole runs on pictures that are one colour each, so that seconds of training show whether it works."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruption import Interrupted, Interruption
from PIL import Image
from safetensors.torch import save_file
from small_encoder import SMALL_ENCODER
from torchvision.models import get_model

import capcli.training.loop
import capcli.training.run_state
from capcli.captioner import Captioner
from capcli.datasets import read_dataset
from capcli.errors import CapcliError, DatasetError, UsageError
from capcli.model.decoders.registry import decoder_config
from capcli.model.encoder import EncoderConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.header import read_header
from capcli.modelfile.pruning import prune, zeros
from capcli.pictures.read import to_array
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.observer import Observer
from capcli.training.processes import Processes
from capcli.training.recipe import DataRecipe, Recipe
from capcli.training.recipe_reader import build_recipe
from capcli.training.stage import Stage
from capcli.words.tokens import tokenize

COLOURS = {
    "red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "white": (255, 255, 255),
    "black": (0, 0, 0), "yellow": (230, 230, 0), "purple": (140, 0, 140), "orange": (255, 130, 0),
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training pictures, four dev pictures and a test picture that nothing can read."""
    folder = tmp_path_factory.mktemp("colours")
    rows = [("image", "caption", "split")]

    def add(name: str, colour: str, split: str, *captions: str) -> None:
        Image.new("RGB", (48, 48), COLOURS[colour]).save(folder / name)
        rows.extend((name, caption, split) for caption in captions)

    for colour in COLOURS:
        add(f"{colour}.png", colour, "train", f"a picture all in {colour}.", f"everything here is {colour}.")
    for colour in list(COLOURS)[:4]:
        add(f"{colour}-too.png", colour, "train", f"a picture all in {colour}.", f"everything is {colour}.")
        add(f"{colour}-dev.png", colour, "dev", f"a picture all in {colour}.")
    (folder / "broken.png").write_bytes(b"no picture")
    rows.append(("broken.png", "a picture all in pieces.", "test"))
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
    arrays = np.stack([to_array(Image.open(data / f"{colour}.png"), 32) for colour in COLOURS])
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (EncoderConfig().mean, EncoderConfig().std))
    with torch.no_grad():
        model((torch.from_numpy(arrays).permute(0, 3, 1, 2) / 255 - mean) / std)
    save_file(model.state_dict(), data / "encoder.safetensors")
    return data / "encoder.safetensors"


@pytest.fixture
def recipe(tiny_settings: Callable[..., dict[str, Any]], weights: Path) -> Callable[..., Recipe]:
    def build(
        *stages: dict[str, Any],
        start: Checkpoint | None = None,
        decoder: str = "transformer",
        seed: int = 1,
        tables: Mapping[str, Any] = {},
        **options: Any,
    ) -> Recipe:
        """The recipe of these stages, read for the model `start`; `tables` replace its own, and None leaves one out."""
        common = {"batch_size": 4, "warmup": 2, "average": 0.5, "captions": 2}
        values = {
            "seed": seed,
            "data": {"min_count": 1},
            "encoder": {"name": SMALL_ENCODER, "size": 32, "weights": str(weights)},
            "decoder": tiny_settings(decoder, **options),
            "matcher": MATCHER if any(stage.get("objective") == "contrastive" for stage in stages) else None,
            "decoding": {"max_length": 7},
            "stage": [common | stage for stage in stages],
            **tables,
        }
        return build_recipe({table: value for table, value in values.items() if value is not None}, start)

    return build


CACHED = {"epochs": 2, "views": 1}
PICTURES = {"epochs": 2, "features": "pictures", "train_from": 3, "learning_rate": 1e-3}
ANCHORED = CACHED | {"train_from": 3, "anchor": 1.0, "word_dropout": 0.2, "learning_rate": 1e-3}
CRITICAL = {"epochs": 2, "objective": "self-critical", "captions": 3, "learning_rate": 1e-4}
CRITICAL_PICTURES = CRITICAL | {"features": "pictures", "train_from": 5, "cross_entropy": 0.2}
SCHEDULED = {"epochs": 2, "objective": "scheduled-sampling", "sampling_probability": 1.0}
ADVERSARIAL = {
    "epochs": 2, "objective": "adversarial", "discriminator_pretraining": 0.5, "cider": 0.5, "keep": "last",
}  # fmt: skip
ADVERSARIAL_PICTURES = ADVERSARIAL | {"features": "pictures", "train_from": 5, "cross_entropy": 0.2}
AUTOENCODER = {"epochs": 2, "objective": "autoencoder", "views": 1}
MATCHER = {"width": 16, "embedding": 8, "heads": 2}
CONTRASTIVE = {"epochs": 2, "objective": "contrastive", "temperature": 0.1, "learning_rate": 5e-3}
SHOW_ATTEND_TELL = {"epochs": 2, "doubly_stochastic": 1.0, "average": 0.0, "label_smoothing": 0.0}


def corpus(data: Path) -> Corpus:
    return Corpus.build([read_dataset(data)], DataRecipe(min_count=1))


def trainer(recipe: Recipe, data: Path, folder: Path, observer: Observer = Observer()) -> Trainer:
    return Trainer(recipe, corpus(data), folder, CPU, observer=observer)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row["images_per_second"]
    return found


@pytest.mark.slow
def test_training_learns_the_pictures_by_heart(recipe: Callable[..., Recipe], data: Path, tmp_path: Path) -> None:
    stage = {
        "epochs": 30, "judge_every": 15, "batch_size": 12, "captions": 2, "learning_rate": 5e-3, "average": 0.0,
        "label_smoothing": 0.0,
    }  # fmt: skip
    checkpoint = trainer(recipe(stage, dropout=0.0, width=64), data, tmp_path / "run").run()
    checkpoint.save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    images = sorted(data.glob("*-dev.png"))
    for image, caption in zip(images, captioner.caption(images), strict=True):
        assert image.name.split("-")[0] in tokenize(caption.text), (image.name, caption.text)
    losses = [float(row["loss"]) for row in rows(tmp_path / "run") if row["loss"]]
    assert losses[-1] < 0.3 * losses[0]
    assert checkpoint.scores["dev " + data.name]["CIDEr-D"] > 0.5
    assert checkpoint.recipe["encoder"]["name"] == SMALL_ENCODER


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stages", "decoder", "interruptions"),
    [
        ([CACHED], "transformer", [("step", 2), ("step", 3), ("judging", 1), ("saving", 2)]),
        ([CACHED, CACHED | {"features": "pictures"}], "lstm", [("step", 8)]),
        ([PICTURES | {"train_from": 0}], "transformer", [("step", 2), ("judging", 2)]),
        ([ANCHORED], "transformer", [("step", 2), ("judging", 1)]),
        ([CACHED, CRITICAL_PICTURES], "transformer", [("step", 8), ("saving", 2)]),
        ([SCHEDULED | SHOW_ATTEND_TELL], "lstm", [("step", 5)]),
        ([ADVERSARIAL_PICTURES, CACHED], "gru", [("step", 2), ("step", 5), ("judging", 1)]),
        ([AUTOENCODER, CACHED], "transformer", [("step", 2), ("judging", 2), ("step", 5)]),
        # Before the first step of the second stage.
        ([ADVERSARIAL, ADVERSARIAL], "gru", [("step", 7)]),
        ([CACHED | {"epochs": 1}, CONTRASTIVE], "transformer", [("step", 5), ("step", 3), ("judging", 1)]),
    ],
)
def test_a_run_that_was_interrupted_ends_like_one_that_was_not(
    stages: list[dict[str, Any]],
    decoder: str,
    interruptions: list[tuple[str, int]],
    recipe: Callable[..., Recipe],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capcli.training.loop, "LOG_STEPS", 1)
    chosen = recipe(*stages, decoder=decoder)
    undisturbed = trainer(chosen, data, tmp_path / "one").run()
    monkeypatch.setattr(capcli.training.run_state, "SAVE_SECONDS", -1.0)
    for moment, count in interruptions:
        with pytest.raises(Interrupted):
            trainer(chosen, data, tmp_path / "other", Interruption(moment, count)).run()
    monkeypatch.setattr(capcli.training.run_state, "SAVE_SECONDS", 300.0)  # nothing comes after it
    resumed = trainer(chosen, data, tmp_path / "other").run()
    assert rows(tmp_path / "other") == rows(tmp_path / "one")
    expected, found = undisturbed.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert resumed.scores == undisturbed.scores


def test_dev_is_judged_every_so_many_epochs_and_after_the_last(
    data: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    stage = CACHED | {"epochs": 5, "judge_every": 2}
    chosen = recipe(stage, CACHED | {"epochs": 1, "judge_every": 3})

    class StopsOnceSaved(Observer):
        def after_saving(self, stage: Stage) -> None:
            raise Interrupted

    # Also if it is stopped before the first look, when nothing is there yet that is the best.
    with pytest.raises(Interrupted):
        trainer(chosen, data, tmp_path / "run", StopsOnceSaved()).run()
    assert not (tmp_path / "run" / "best.safetensors").exists()
    trainer(chosen, data, tmp_path / "run").run()
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        judged = [(row["stage"], row["epoch"]) for row in csv.DictReader(file) if row["score"]]
    assert judged == [("0", "1"), ("0", "3"), ("0", "4"), ("1", "0")]


def test_a_run_killed_between_dev_scores_and_state_logs_them_once(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(CACHED)
    trainer(chosen, data, tmp_path / "one").run()
    monkeypatch.setattr(capcli.training.run_state, "SAVE_SECONDS", -1.0)
    # Three steps save three times; the fourth time the scores of the epoch are already in the log.
    with pytest.raises(Interrupted):
        trainer(chosen, data, tmp_path / "other", Interruption("saving", 4)).run()
    trainer(chosen, data, tmp_path / "other").run()
    assert rows(tmp_path / "other") == rows(tmp_path / "one")


@pytest.mark.parametrize(("keep", "kept", "epochs"), [("best", 0.9, 3), ("last", 0.4, 4)])
def test_a_stage_keeps_its_best_weights_or_its_last(
    keep: str,
    kept: float,
    epochs: int,
    recipe: Callable[..., Recipe],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = iter([0.5, 0.9, 0.3, 0.4])
    monkeypatch.setattr(Objective, "judge", lambda *arguments: next(scores))
    run = trainer(recipe(CACHED | {"epochs": 4, "patience": 1, "keep": keep}), data, tmp_path)
    assert run.run().scores == {f"dev {data.name}": {"CIDEr-D": kept}}
    assert sum(bool(row["score"]) for row in rows(tmp_path)) == epochs


class Beginning(Observer):
    """Copies the weights of model and objective before the first step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.objective: Objective | None = None

    def before_step(self, stage: Stage, batch: Batch) -> None:
        if self.objective is None:
            self.objective = stage.objective
            parts = (stage.setup.start.model, stage.objective)
            self.weights = [{n: p.clone() for n, p in part.state_dict().items()} for part in parts]


@pytest.mark.parametrize("idle", ["learning_rate", "discriminator_learning_rate"])
def test_captioner_and_discriminator_learn_at_rates_of_their_own(
    idle: str, recipe: Callable[..., Recipe], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capcli.training.loop, "LOG_STEPS", 1)
    rates = {"learning_rate": 1e-3, "discriminator_learning_rate": 1e-3} | {idle: 1e-12}
    chosen = recipe(ADVERSARIAL | rates | {"epochs": 1, "discriminator_pretraining": 0.0})
    watched = Beginning()
    run = trainer(chosen, data, tmp_path, watched)
    run.run()
    assert watched.objective is not None
    moved = [
        any(not torch.allclose(old[name], value, atol=1e-6) for name, value in part.state_dict().items())
        for old, part in zip(watched.weights, (run.model, watched.objective), strict=True)
    ]
    assert moved == [idle != "learning_rate", idle != "discriminator_learning_rate"]
    accuracies = [float(row["discriminator_accuracy"]) for row in rows(tmp_path) if row["loss"]]
    assert len(accuracies) == 3
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)


def test_a_finished_run_stays_as_it_is_and_says_so(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = recipe(CACHED)
    first = trainer(chosen, data, tmp_path).run()
    before = rows(tmp_path)
    assert "finished" not in capsys.readouterr().err
    again = trainer(chosen, data, tmp_path).run()
    assert "holds this run, finished, and its model is taken; --run DIR trains anew" in capsys.readouterr().err
    assert rows(tmp_path) == before
    expected, found = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_fine_tuning_moves_the_chosen_blocks_alone(recipe: Callable[..., Recipe], data: Path, tmp_path: Path) -> None:
    run = trainer(recipe(PICTURES | {"encoder_learning_rate": 1e-3}), data, tmp_path)
    before = {name: value.clone() for name, value in run.model.encoder.state_dict().items()}
    run.run()
    after = run.model.encoder.state_dict()
    moved = {int(name.split(".")[1]) for name in before if not torch.equal(before[name], after[name])}
    assert moved == {3, 4, 5}


@pytest.fixture
def pruned(recipe: Callable[..., Recipe], data: Path, tmp_path: Path) -> Callable[[float], Checkpoint]:
    """Gives an untrained model on the pictures' words, of whose layers' weights a share is zero."""

    def build(share: float) -> Checkpoint:
        model = trainer(recipe(CACHED), data, tmp_path / "untrained").model
        prune(model, share)
        return Checkpoint(model, recipe(CACHED).decoding, pruned=True)

    return build


# The last weights, since the best ones may be those of the beginning.
PRUNED = PICTURES | {
    "train_from": 0, "epochs": 3, "learning_rate": 5e-3, "encoder_learning_rate": 1e-4, "keep": "last",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("stage", [PRUNED, CRITICAL | {"keep": "last"}], ids=["cross-entropy", "self-critical"])
def test_a_pruned_model_learns_and_keeps_its_zeros_through_interruptions(
    stage: dict[str, Any],
    pruned: Callable[[float], Checkpoint],
    recipe: Callable[..., Recipe],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capcli.training.loop, "LOG_STEPS", 1)
    monkeypatch.setattr(capcli.training.run_state, "SAVE_SECONDS", -1.0)
    before, chosen = zeros(pruned(0.5).model), recipe(stage, start=pruned(0.5))

    def run(observer: Observer) -> Trainer:
        return Trainer(chosen, corpus(data), tmp_path / "run", CPU, start=pruned(0.5), observer=observer)

    with pytest.raises(Interrupted):
        run(Interruption("step", 3)).run()
    resumed = run(Observer())
    best = resumed.run()
    assert best.pruned
    trained, kept = resumed.model.state_dict(), zeros(best.model)
    for name, zero in before.items():
        assert not trained[name][zero].any(), name
        assert bool(kept[name][zero].all())
    if stage is PRUNED:
        losses = [float(row["loss"]) for row in rows(tmp_path / "run") if row["loss"]]
        assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    with pytest.raises(UsageError, match="holds a run of another recipe or data, or from other weights"):
        Trainer(chosen, corpus(data), tmp_path / "run", CPU, start=pruned(0.6))


@pytest.mark.slow
def test_contrastive_training_gives_a_model_a_matcher_and_leaves_all_else_as_it_is(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    start = trainer(recipe(CACHED), data, tmp_path / "start").run()
    start = dataclasses.replace(start, options=start.options.replace(beam_size=2))
    start.save(tmp_path / "start.safetensors", torch.float32)
    stage = CONTRASTIVE | {"epochs": 30, "judge_every": 10, "batch_size": 12, "views": 1}
    best = Trainer(recipe(stage, start=start), corpus(data), tmp_path / "run", CPU, start=start).run()
    before = Checkpoint.load(tmp_path / "start.safetensors").model.state_dict()
    after = {name: value.clone() for name, value in best.model.state_dict().items()}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.partition(".")[0] for name in after.keys() - before.keys()} == {"matcher"}
    assert best.options == start.options
    name = f"dev {data.name}"
    assert best.scores == {name: {**start.scores[name], "recall": 1.0}}

    best.save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    images = sorted(data.glob("*-dev.png"))
    colours = [image.name.split("-")[0] for image in images]
    alike = captioner.similarities(images, [f"a picture all in {colour}." for colour in colours])
    assert (alike.argmax(0) == np.arange(4)).sum() >= 3
    for image, best_one in zip(images, captioner.caption(images, num_captions=8, rerank=100.0), strict=True):
        texts = [caption.text for caption in (best_one, *best_one.alternatives)]
        assert captioner.similarities(image, texts)[0].argmax() == 0

    # What goes on with captions leaves the matcher alone, and does not know what it is still worth.
    stage = {"epochs": 2, "keep": "last", "learning_rate": 5e-3}
    again = Trainer(recipe(stage, start=best), corpus(data), tmp_path / "again", CPU, start=best).run()
    moved = {name.partition(".")[0] for name, value in again.model.state_dict().items() if not value.equal(after[name])}
    assert moved == {"decoder"}
    assert again.scores[name].keys() == {"CIDEr-D"}


@pytest.mark.slow
def test_a_matcher_goes_where_the_encoder_that_it_learnt_with_is_trained(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trainer(recipe(CACHED | {"epochs": 1}, CONTRASTIVE), data, tmp_path / "first").run()
    dataclasses.replace(first, options=first.options.replace(rerank=0.5)).save(tmp_path / "first.safetensors")

    def tuned(folder: str, *stages: dict[str, Any]) -> Checkpoint:
        for _ in ("a run", "asked again for what it gave"):
            start = Checkpoint.load(tmp_path / "first.safetensors")
            chosen = recipe(*stages, start=start, tables={"decoding": None})
            best = Trainer(chosen, corpus(data), tmp_path / folder, CPU, start=start).run()
        return best

    once = PICTURES | {"epochs": 1}
    capsys.readouterr()
    without = tuned("without", once)
    assert "the matcher, which learnt with the encoder as it was, is left out" in capsys.readouterr().err
    assert (without.model.matcher, without.options.rerank) == (None, 0)
    without.save(tmp_path / "without.safetensors")
    assert Captioner.load(tmp_path / "without.safetensors", device="cpu").caption(data / "red.png").text
    for folder, stages in (("decoder", (CACHED,)), ("again", (once, CONTRASTIVE))):
        kept = tuned(folder, *stages)
        assert kept.model.matcher is not None and kept.options.rerank == 0.5
        assert "is left out" not in capsys.readouterr().err


def test_what_a_matcher_needs_is_told_before_anything_is_done(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    start = trainer(recipe(CACHED | {"epochs": 1}), data, tmp_path / "start").run()
    for stages, begin, tables, message in (
        (
            (CONTRASTIVE,),
            None,
            {},
            "no stage of model trains a decoder: name a model that has learnt to speak",
        ),
        ((CONTRASTIVE,), start, {"matcher": None}, r"contrastive training needs a matcher: a \[matcher\]"),
        ((CACHED,), start, {"matcher": MATCHER}, r"no stage trains the \[matcher\]: add a"),
        ((CACHED,), None, {"decoding": {"max_length": 7, "rerank": 1.0}}, r"\[decoding\] rerank needs a matcher"),
        ((CONTRASTIVE, PICTURES), start, {}, r"the encoder is trained after the \[matcher\] .* put 'contrastive' last"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            recipe(*stages, start=begin, tables=tables)
        assert "\n" not in str(caught.value)
    matching = recipe(CONTRASTIVE, start=start)
    with pytest.raises(UsageError, match="needs one process: leave torchrun out"):
        Trainer(matching, corpus(data), tmp_path / "run", CPU, start=start, processes=Processes(0, 2))
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_refused(recipe: Callable[..., Recipe], data: Path, tmp_path: Path) -> None:
    trainer(recipe(CACHED), data, tmp_path).run()
    for other in (recipe(CACHED, seed=2), recipe(CACHED | {"epochs": 3}), recipe(CACHED, decoder="lstm")):
        with pytest.raises(UsageError, match=r"holds a run of another recipe or data, .*; choose another --run"):
            trainer(other, data, tmp_path)


@pytest.mark.slow
def test_a_folder_of_a_run_from_another_model_is_refused(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    start = trainer(recipe(CACHED | {"epochs": 1}), data, tmp_path / "start").run()
    start.save(tmp_path / "start.safetensors", torch.float32)

    def goes_on(change: float) -> Trainer:
        begin = Checkpoint.load(tmp_path / "start.safetensors")
        with torch.no_grad():
            next(begin.model.decoder.parameters()).add_(change)
        return Trainer(recipe(CACHED, start=begin), corpus(data), tmp_path / "run", CPU, start=begin)

    first = goes_on(0.0).run()
    again = goes_on(0.0).run()
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in first.model.state_dict().items())
    with pytest.raises(UsageError, match="from other weights; choose another --run folder"):
        goes_on(1e-3)
    with pytest.raises(UsageError, match="from other weights; choose another --run folder"):
        Trainer(recipe(CACHED), corpus(data), tmp_path / "start", CPU, encoder_weights="none")


def test_what_a_recipe_asks_of_a_model_that_has_it_not_is_refused(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    start = trainer(recipe(CACHED | {"epochs": 1}), data, tmp_path / "start").run()
    encoder = {"name": SMALL_ENCODER, "size": 48}
    for table, other in (
        ("decoder", lambda: recipe(CACHED, start=start, decoder="lstm")),
        ("decoder", lambda: recipe(CACHED, start=start, dropout=0.7)),
        ("encoder", lambda: recipe(CACHED, start=start, tables={"encoder": encoder})),
    ):
        with pytest.raises(UsageError, match=rf"model asks for another \[{table}\] than the model has") as caught:
            other()
        assert "\n" not in str(caught.value)
    # A recipe that leaves them out takes any model, its captions cut at what the model can say.
    plain = recipe(CACHED, start=start, tables={"encoder": None, "decoder": None, "data": {"max_length": 30}})
    longest = decoder_config(start.model.config.decoder)[1].max_length
    assert plain.data.max_length == min(30, longest)
    assert Trainer(plain, corpus(data), tmp_path / "run", CPU, start=start).setup.recipe == plain


@pytest.mark.slow
def test_what_was_held_out_of_all_that_a_model_goes_back_to_is_in_its_file(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    start: Checkpoint | None = None
    for number, (share, known) in enumerate(((0.3, 0.3), (0.4, 0.3), (0.1, 0.1), (0.2, 0.1))):
        chosen = recipe(CACHED | {"epochs": 1}, start=start, tables={"data": {"min_count": 1, "hold_out": share}})
        best = Trainer(chosen, corpus(data), tmp_path / str(number), CPU, start=start).run()
        best.save(tmp_path / "model.safetensors")
        assert read_header(tmp_path / "model.safetensors").held_out == known
        start = Checkpoint.load(tmp_path / "model.safetensors")


def test_a_broken_state_is_refused(recipe: Callable[..., Recipe], data: Path, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"no state")
    with pytest.raises(UsageError, match=r"state.safetensors: not the state of a training run .* delete it") as caught:
        trainer(recipe(CACHED), data, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_loss_that_explodes_stops_the_run_and_says_where(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    stage = CACHED | {"learning_rate": 1e38, "warmup": 0}
    with pytest.raises(CapcliError, match=r"the loss became (nan|inf) in stage 1, epoch 1, step [23]; lower") as caught:
        trainer(recipe(stage), data, tmp_path).run()
    assert "\n" not in str(caught.value)


def test_self_critical_training_needs_two_captions_of_a_picture(
    recipe: Callable[..., Recipe], data: Path, tmp_path: Path
) -> None:
    for name in ("red", "blue"):
        Image.new("RGB", (8, 8), COLOURS[name]).save(tmp_path / f"{name}.png")
    (tmp_path / "captions.csv").write_text("image,caption,split\nred.png,a red one,train\nblue.png,a blue one,dev\n")
    with pytest.raises(UsageError, match="at least 2 captions"):
        trainer(recipe(CRITICAL), tmp_path, tmp_path / "run").run()


def test_the_corpus_is_divided_by_split(data: Path) -> None:
    divided = corpus(data)
    assert len(divided.train) == 12
    assert [len(items) for items in divided.dev.values()] == [4]
    assert "pieces" not in divided.vocabulary(1)
    assert "purple" in divided.vocabulary(1)


def test_a_data_set_without_dev_pictures_gives_up_a_share_that_stays_the_same(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(200)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "captions.csv").write_text("image,caption\n" + "".join(f"{name},a thing\n" for name in names))
    first, second = (Corpus.build([read_dataset(tmp_path)], DataRecipe(hold_out=0.2)) for _ in range(2))
    assert first == second
    (held,) = first.dev.values()
    assert 20 <= len(held) <= 60
    assert {item.image.name for item in held} | {item.image.name for item in first.train} == set(names)
    assert len(held) + len(first.train) == 200


def test_data_sets_of_one_name_are_told_apart(data: Path) -> None:
    dataset = read_dataset(data)
    assert list(Corpus.build([dataset, dataset], DataRecipe()).dev) == [data.name, f"{data.name}-2"]


def test_what_one_data_set_holds_out_no_other_trains_on(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(60)]
    for name in [*names, "dev.png"]:
        (tmp_path / name).touch()
    rows = "".join(f"{name},a thing,train\n" for name in names)
    (tmp_path / "mine.csv").write_text("image,caption,split\n" + rows)
    (tmp_path / "other.csv").write_text("image,caption,split\n" + rows + "dev.png,a thing,dev\n")
    both = [read_dataset(tmp_path / name) for name in ("mine.csv", "other.csv")]
    for datasets in (both, both[::-1]):
        found = Corpus.build(datasets, DataRecipe(hold_out=0.5), compare=True)
        judged = {item.image.name for items in (*found.dev.values(), *found.compared.values()) for item in items}
        trained = {item.image.name for item in found.train}
        assert judged | trained == {*names, "dev.png"}
        assert not judged & trained
        assert len(judged) > 20


def test_nothing_to_judge_by_or_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    table = tmp_path / "captions.csv"
    table.write_text("image,caption,split\na.png,a thing,train\n")
    with pytest.raises(DatasetError, match="no picture is left to judge by"):
        Corpus.build([read_dataset(tmp_path)], DataRecipe(hold_out=0.0))
    table.write_text("image,caption,split\na.png,a thing,test\n")
    with pytest.raises(DatasetError, match="no picture to train on"):
        Corpus.build([read_dataset(tmp_path)], DataRecipe())
