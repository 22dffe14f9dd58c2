"""Language models: text alone, divided, learnt by heart, resumed, and refused where a captioner is needed."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruption import Interrupted, InterruptionAt
from typer.testing import CliRunner

from capcli.captioner import Captioner
from capcli.cli import app
from capcli.datasets import Item, read_dataset
from capcli.decoding.options import DecodingOptions
from capcli.decoding.sample import sample_distinct
from capcli.decoding.teacher_forcing import teacher_force
from capcli.errors import DatasetError, UsageError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.command import find_recipe, train_model
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.objectives.language import Language
from capcli.training.recipe import DataRecipe, Recipe
from capcli.training.recipe_reader import build_recipe, read_recipe
from capcli.words.tokens import tokenize

CPU = torch.device("cpu")
NAMES = ("dog", "cat", "man", "child", "bird", "horse", "cow", "boat")
SENTENCES = [f"A {name} and a {other}." for name, other in zip(NAMES, reversed(NAMES), strict=True)]


def tiny(decoder: str = "inject") -> Recipe:
    """The shipped recipe, so small that it learns eight sentences in seconds."""
    values = read_recipe(find_recipe("language-model")).to_dict()
    width = {"width": 64, "embedding": 32} if decoder == "inject" else {"width": 16, "heads": 2, "layers": 1}
    values["decoder"] = {"name": decoder, "dropout": 0.0, **width}
    values["data"]["min_count"] = 1
    epochs = 20 if decoder == "inject" else 8
    stage = {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-2, "warmup": 5, "average": 0.5, "patience": epochs}
    return build_recipe(values | {"stage": [values["stage"][0] | stage]})


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("".join(f"word {number % 150} and more\n" for number in range(300)) + "...\n")
    return file


def sides(corpus: Corpus) -> tuple[list[str], list[str]]:
    """What is trained on and what it is judged by, as words."""
    judged = [" ".join(tokenize(item.captions[0])) for items in corpus.dev.values() for item in items]
    return [" ".join(words) for (words,) in corpus.captions], judged


def test_equal_sentences_are_on_one_side(text: Path) -> None:
    corpus = Corpus.of_sentences([read_dataset(text)], DataRecipe(hold_out=0.2))
    trained, judged = sides(corpus)
    assert list(corpus.dev) == ["words"]
    assert len(trained) + len(judged) == 300
    assert 30 <= len(judged) <= 100
    assert not set(trained) & set(judged)
    assert Corpus.of_sentences([read_dataset(text)], DataRecipe(hold_out=0.2)) == corpus


def test_captions_of_pictures_are_sentences_but_those_of_test_pictures(tmp_path: Path, text: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text(
        "image,caption,split\na.jpg,one and two,train\na.jpg,three,train\nb.jpg,word 3 and more,dev\n"
        "c.jpg,a secret,test\nd.jpg,Word 3 and more!,train\n"
    )
    data = [read_dataset(table, missing_ok=True), read_dataset(text)]
    trained, judged = sides(Corpus.of_sentences(data, DataRecipe(hold_out=0.1)))
    assert {"one and two", "three"} <= set(trained)
    assert "word 3 and more" in judged
    assert not set(trained) & set(judged)
    assert "a secret" not in trained + judged


def test_nothing_to_train_on_or_to_judge_by(tmp_path: Path, text: Path) -> None:
    with pytest.raises(DatasetError, match="no sentence is left to judge by"):
        Corpus.of_sentences([read_dataset(text)], DataRecipe(hold_out=0.0))
    table = tmp_path / "captions.csv"
    table.write_text("image,caption,split\na.jpg,a dog,train\nb.jpg,a dog,dev\n")
    with pytest.raises(DatasetError, match="every sentence to train on is one to judge by as well"):
        Corpus.of_sentences([read_dataset(table, missing_ok=True)], DataRecipe())


def test_sentences_without_pictures_train_no_captioner(text: Path) -> None:
    with pytest.raises(UsageError, match="words: holds sentences without pictures, and no stage"):
        train_model("show-and-tell", [text])


def test_perplexity_is_that_of_the_words_and_ends(tiny_language: Callable[..., Checkpoint]) -> None:
    model, recipe = tiny_language(["and", "a", "dog", "cat"]).model, tiny()
    items = [Item(Path("none.jpg"), tuple(SENTENCES[place : place + 2]), "dev") for place in range(0, 8, 2)]
    captions = [model.vocabulary.encode(tokenize(caption)) for caption in SENTENCES]
    forced = teacher_force(model.decoder, model.encoder(torch.zeros(len(captions))), captions)
    logs = np.concatenate([caption.log_probabilities for caption in forced])
    objective = Language(recipe.stage[0], recipe, model, [])
    found = objective.judge(model, items, recipe.decoding, lambda files: model.encoder(torch.zeros(len(files))))
    assert found == pytest.approx(math.exp(-float(logs.mean())), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["inject", "transformer"])
def test_a_language_model_learns_by_heart_and_resumes(decoder: str, tmp_path: Path) -> None:
    recipe = tiny(decoder)
    # What is judged by is what is learnt, as no corpus that is read has it; several times, for an epoch of a few steps.
    train = tuple(Item(tmp_path / "words.txt", (sentence,), "train") for sentence in SENTENCES * 16)
    captions = tuple((tuple(tokenize(item.captions[0])),) for item in train)
    corpus = Corpus(train, captions, {"same": train[:8]})
    undisturbed = Trainer(recipe, corpus, tmp_path / "one", CPU).run()
    with pytest.raises(Interrupted):
        Trainer(recipe, corpus, tmp_path / "other", CPU, observer=InterruptionAt(epoch=2, step=3)).run()
    resumed = Trainer(recipe, corpus, tmp_path / "other", CPU).run()
    expected, found = undisturbed.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    # Only the first of the two names in five words and an end cannot be known.
    assert undisturbed.scores["dev same"]["perplexity"] == pytest.approx(8 ** (1 / 6), abs=0.1)
    model, options = resumed.model, DecodingOptions(sample=True, num_captions=3, temperature=0.5)
    (drawn,) = sample_distinct(model.decoder, model.encoder(torch.zeros(1)), options, [1])
    for hypothesis in drawn:
        assert (tuple(model.vocabulary.decode(hypothesis.tokens)),) in captions


def test_from_text_to_a_file_that_captions_nothing_but_helps(
    text: Path, tmp_path: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lm.toml").write_text(
        'name = "lm"\n[encoder]\nname = "none"\n[decoder]\nname = "inject"\nwidth = 16\nembedding = 8\n'
        '[[stage]]\nobjective = "language"\nepochs = 2\ncaptions = 1\n'
    )
    file = train_model("lm.toml", [text], device="cpu").file
    stderr = capsys.readouterr().err
    assert "dev perplexity words " in stderr and "best dev perplexity" in stderr
    checkpoint = Checkpoint.load(file)
    with Path("runs/lm/log.csv").open(newline="") as log:
        scores = [float(row["score"]) for row in csv.DictReader(log) if row["score"]]
    assert checkpoint.scores["dev words"]["perplexity"] == pytest.approx(min(scores), rel=1e-4)
    assert checkpoint.calibration is None
    assert not any(name.startswith("encoder.") for name in checkpoint.model.state_dict())
    with pytest.raises(
        UsageError, match=r"^lm is a language model and sees no pictures; give it to a captioning model"
    ):
        Captioner.load(file)
    shown = CliRunner().invoke(app, ["models", "show", str(file)])
    assert shown.exit_code == 0 and "a language model" in shown.stdout
    assert CliRunner().invoke(app, ["models", "verify", str(file)]).exit_code == 0
    assert Captioner.load(tiny_file, "cpu", language_model=file).options.lm_rescore != 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"name": "resnet18"}}, "objective 'language' alone .* add a .* trains resnet18"),
        ({"stage": [{"objective": "cross-entropy"}]}, "is trained by objective 'language', not 'cross-entropy'"),
        ({"stage": [{"objective": "language", "features": "pictures"}]}, "sees no pictures; leave features out"),
        ({"decoding": {"lm_weight": 0.5}}, r"\[decoding\] lm_weight is for a language model"),
    ],
)
def test_recipes_that_contradict_themselves(changes: dict[str, Any], message: str) -> None:
    values = read_recipe(find_recipe("language-model")).to_dict()
    with pytest.raises(UsageError, match=message):
        build_recipe(values | changes)


def test_a_language_model_has_no_encoder_to_load_weights_into(text: Path, tmp_path: Path) -> None:
    corpus = Corpus.of_sentences([read_dataset(text)], DataRecipe())
    with pytest.raises(UsageError, match=r"has no encoder to load some.safetensors into"):
        Trainer(tiny(), corpus, tmp_path / "run", CPU, encoder_weights="some.safetensors")
