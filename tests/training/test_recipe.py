from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from capcli.errors import UsageError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.shipped import find_model
from capcli.training.objectives.cross_entropy import CrossEntropyStage
from capcli.training.objectives.registry import objectives
from capcli.training.objectives.self_critical import SelfCriticalStage
from capcli.training.recipe import StageRecipe
from capcli.training.recipe_reader import build_recipe, read_recipe

TEXT = """
name = "small"
seed = 3

[data]
min_count = 2
hold_out = 0.1

[encoder]
name = "resnet18"
weights = "none"

[decoder]
name = "lstm"
width = 32

[decoding]
beam_size = 5

[[stage]]
epochs = 2
clip = 1

[[stage]]
objective = "self-critical"
features = "pictures"
train_from = 3
captions = 4
learning_rate = 1e-5
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, TEXT))
    assert (recipe.name, recipe.seed, recipe.data.min_count, recipe.data.hold_out) == ("small", 3, 2, 0.1)
    assert (recipe.encoder.name, recipe.encoder.size) == ("resnet18", 224)
    assert recipe.decoder == {"name": "lstm", "width": 32}
    assert (recipe.decoding.beam_size, recipe.decoding.max_length) == (5, 20)
    first, second = recipe.stage
    assert first == CrossEntropyStage(epochs=2, clip=1.0)
    assert isinstance(first.clip, float)
    assert isinstance(second, SelfCriticalStage)
    assert (second.objective, second.train_from, second.learning_rate) == ("self-critical", 3, 1e-5)


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, "")) == build_recipe({"stage": [{"objective": "cross-entropy"}]})


def test_a_round_trip_through_plain_values(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, TEXT))
    assert build_recipe(recipe.to_dict()) == recipe
    assert build_recipe(build_recipe({}).to_dict()) == build_recipe({})


@pytest.mark.parametrize(
    "name",
    sorted(file.name for file in (resources.files("capcli") / "recipes").iterdir() if file.name.endswith(".toml")),
)
def test_every_shipped_recipe_can_be_read(name: str) -> None:
    # It trains no decoder, and so is for a model that has one.
    start = Checkpoint.load(find_model("base")) if name == "matching.toml" else None
    with resources.as_file(resources.files("capcli") / "recipes" / name) as file:
        assert read_recipe(file, start).name == Path(name).stem


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": 1}, "no option is called 'sead'; near it: seed"),
        ({"data": {"min_cuont": 1}}, r"\[data\] has no option 'min_cuont'; near it: min_count"),
        ({"encoder": {"weigths": "none"}}, r"\[encoder\] has no option 'weigths'; near it: weights"),
        ({"decoding": {"beam": 3}}, r"\[decoding\] has no option 'beam'; near it: .*beam_size"),
        ({"stage": [{}, {"learning_rat": 1.0}]}, "stage 2 has no option 'learning_rat'; near it: learning_rate"),
        (
            {"matcher": {"wdith": 3}, "stage": [{"objective": "contrastive"}]},
            "matcher has no option 'wdith'; near it: width",
        ),
        ({"decoder": {"name": "lstm", "wdith": 3}}, "no option 'wdith'; near it: width"),
        ({"decoder": {"name": "grv"}}, "no decoder named 'grv'; there are adaptive, gru, inject, lstm, merge"),
        ({"decoder": {}}, "no decoder named None"),
        ({"encoder": {"name": "resnet_50"}}, "no encoder named 'resnet_50'; near it: .*resnet50"),
    ],
)
def test_unknown_names(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_recipe(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "1"}, "^seed must be a whole number, not '1'"),
        ({"seed": True}, "^seed must be a whole number, not True"),
        ({"seed": 1.5}, "^seed must be a whole number, not 1.5"),
        ({"name": 3}, "^name must be text, not 3"),
        ({"data": 3}, r"\[data\] must be a table"),
        ({"data": {"choose_by": "flickr8k"}}, r"\[data\]: choose_by must be a list of names, not 'flickr8k'"),
        ({"data": {"choose_by": [3]}}, r"\[data\]: each of choose_by must be text, not 3"),
        ({"decoder": "lstm"}, "^decoder must be a table"),
        ({"matcher": 3}, "^matcher must be a table"),
        ({"stage": {"epochs": 3}}, r"stages are written \[\[stage\]\]"),
        ({"stage": [3]}, "stage 1 must be a table"),
        ({"stage": [{"learning_rate": "fast"}]}, "stage 1: learning_rate must be a number above 0, not 'fast'"),
        ({"stage": [{"epochs": 1.5}]}, "stage 1: epochs must be a whole number of at least 1, not 1.5"),
        ({"stage": [{"objective": ["language"]}]}, "stage 1: objective must be one of adversarial, .*, not "),
        ({"decoding": {"beam_size": "3"}}, r"\[decoding\]: beam_size must be a whole number from 1 to 32, not '3'"),
        ({"decoding": {"sample": 1}}, r"\[decoding\]: sample must be true or false, not 1"),
    ],
)
def test_values_of_the_wrong_type(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_recipe(values)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            {"objective": "self-criticl"},
            "objective must be one of adversarial, .*, self-critical, not 'self-criticl'; did you mean self-critical",
        ),
        ({"keep": "lst"}, "keep must be one of best, last, not 'lst'; did you mean last"),
        ({"features": "frozen"}, "features must be one of cached, pictures, not 'frozen'"),
        ({"train_from": 0}, r"trained whole \(train_from = 0\) needs features = 'pictures'"),
        ({"anchor": 1.0}, "anchor holds an encoder that is trained on cached features"),
        ({"anchor": 1.0, "features": "pictures", "train_from": 3}, "anchor holds an encoder that is trained on cached"),
        ({"word_dropout": 1.0}, "word_dropout must be a number from 0 to below 1, not 1.0"),
        ({"objective": "self-critical", "captions": 1}, "self-critical training compares at least 2 captions"),
        ({"objective": "adversarial", "captions": 1}, "adversarial training compares at least 2 captions"),
        ({"objective": "adversarial", "batch_size": 1}, "batch_size must be at least 2"),
        (
            {"objective": "adversarial", "discriminator_learning_rate": 0.0},
            "discriminator_learning_rate must be a number above 0, not 0.0",
        ),
        (
            {"objective": "adversarial", "discriminator_pretraining": 1.0},
            "discriminator_pretraining must be a number from 0 to below 1, not 1.0",
        ),
        (
            {"objective": "scheduled-sampling", "sampling_probability": 1.1},
            "sampling_probability must be a number from 0 to 1, not 1.1",
        ),
        ({"objective": "adversarial", "cider": -0.1}, "cider must be a number from 0 to 1, not -0.1"),
        # The temperatures that captions can be sampled at, told before the stage begins.
        ({"objective": "self-critical", "temperature": 0.01}, "temperature must be a number from 0.05 to 10, not 0.01"),
        (
            {"objective": "contrastive", "features": "pictures", "train_from": 3},
            "contrastive training leaves the encoder as the decoder knows it; drop train_from",
        ),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"patience": 0}, "patience must be a whole number of at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate is beyond 1e"),
        ({"clip": -1.0}, "clip must be a number above 0"),
        ({"average": 1.0}, "average must be a number from 0 to below 1"),
        ({"crop": 0.0}, "crop must be a number above 0 and at most 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be a number from 0 to below 1"),
        ({"views": -1}, "views must be a whole number of at least 0"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0"),
        ({"jitter": -0.1}, "jitter must be a number from 0 to 1"),
        ({"encoder_learning_rate": -1.0}, "encoder_learning_rate must be a number of at least 0"),
    ],
)
def test_stages_that_contradict_themselves(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^stage 1: .*{message}"):
        build_recipe({"stage": [stage]})


@pytest.mark.parametrize(
    ("objective", "key", "owners"),
    [
        ("cross-entropy", "temperature", "adversarial, contrastive, self-critical"),
        ("language", "sampling_probability", "scheduled-sampling"),
        ("self-critical", "cider", "adversarial"),
        ("scheduled-sampling", "word_dropout", "cross-entropy, language"),
        ("contrastive", "masked", "autoencoder"),
        ("autoencoder", "label_smoothing", "adversarial, cross-entropy, language, scheduled-sampling, self-critical"),
    ],
)
def test_an_option_of_other_objectives_is_refused_and_they_are_named(objective: str, key: str, owners: str) -> None:
    with pytest.raises(UsageError, match=f"^stage 2: {key} is an option of {owners}, not of {objective}$"):
        build_recipe({"stage": [{}, {"objective": objective, key: 0.5}]})


@pytest.mark.parametrize("objective", objectives())
def test_every_objective_takes_its_own_options_beside_those_of_every_stage(objective: str) -> None:
    settings = objectives()[objective].settings
    kept = {"decoder": {"name": "transformer"}, "encoder": {"name": "resnet18"}}
    if objective == "contrastive":
        kept["matcher"] = {}
    defaults = dataclasses.asdict(settings())
    assert defaults["objective"] == objective
    assert {field.name for field in dataclasses.fields(StageRecipe)} <= defaults.keys()
    recipe = build_recipe(kept | {"stage": [{"epochs": 1}, defaults]})
    assert recipe.stage[1] == settings()
    for field in dataclasses.fields(settings):
        assert field.name == "objective" or field.metadata["help"].endswith(".")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage": []}, "at least one"),
        ({"stage": [{"learning_rate": 10**400}]}, "stage 1: learning_rate is beyond 1e"),
        ({"stage": [{"epochs": 10**400}]}, r"stage 1: epochs is beyond 9.22e\+18"),
        ({"seed": 10**5000}, "^seed is beyond"),
        ({"name": ""}, "name is that of a file"),
        ({"name": "a/b"}, "name is that of a file"),
        ({"name": "a\0b"}, "name is that of a file"),
        ({"data": {"hold_out": 1.0}}, r"\[data\]: hold_out must be a number from 0 to below 1, not 1.0"),
        ({"data": {"temperature": 1.1}}, r"\[data\]: temperature must be a number from 0 to 1, not 1.1"),
        ({"encoder": {"size": 31}}, r"\[encoder\]: size must be a whole number from 32 to 2048, not 31"),
        ({"data": {"min_count": 0}}, "min_count"),
        ({"data": {"max_length": 0}}, "max_length"),
        ({"data": {"max_length": 41}}, "decoder of max_length 40 cannot say 41 words"),
        (
            {"decoder": {"name": "lstm", "max_length": 19}, "data": {"max_length": 9}},
            "max_length 19 cannot say 20 words",
        ),
        ({"decoding": {"beam_size": 0}}, r"\[decoding\]: beam_size must be a whole number from 1 to 32, not 0"),
        *(
            (
                {"decoder": {"name": name}, "stage": [{}, {"doubly_stochastic": 1.0}]},
                f"stage 2: doubly_stochastic is a penalty on attention, and the decoder {name} has none",
            )
            for name in ("inject", "merge")
        ),
        (
            {"decoder": {"name": "transformer", "heads": 7}},
            "decoder transformer: width 384 is not a multiple of heads 7",
        ),
        (
            {"decoder": {"name": "merge", "fusion": "ad"}},
            "fusion must be one of concat, add, not 'ad'; did you mean add",
        ),
        ({"decoder": {"name": "merge", "attention": "dot"}}, "decoder merge has no option 'attention'"),
    ],
)
def test_choices_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_recipe(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the recipe"),
        (b"\xff\xfe\0", "not a TOML recipe: not UTF-8 text"),
        (b"name = \n", "not a TOML recipe"),
        (b"sead = 1", "no option is called 'sead'"),
    ],
)
def test_every_error_names_the_file_in_one_line(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_recipe(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["seed = " + "9" * 5000, "a = " + "[" * 3000, "seed =", "caf\xe9".encode("latin-1")], ids=range(4)
)
def test_files_that_are_no_toml(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=r"odd\.toml: not a TOML recipe: ") as caught:
        read_recipe(tmp_path / "odd.toml")
    assert "\n" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "notepad.toml").write_text('\ufeffname = "mine"\n', encoding="utf-8")
    assert read_recipe(tmp_path / "notepad.toml").name == "mine"
