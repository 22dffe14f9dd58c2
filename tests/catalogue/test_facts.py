from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from capcli.catalogue.facts import Facts
from capcli.errors import ModelError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.pruning import prune, zeros

Save = Callable[..., Path]


def test_the_facts_are_those_of_the_model(tiny_checkpoint: Callable[..., Checkpoint], model: Path) -> None:
    facts, loaded = Facts.read("mine", model), tiny_checkpoint().model
    assert facts.weights.parameters == sum(value.numel() for value in loaded.state_dict().values())
    assert (facts.words, facts.weights.stored, facts.size) == (8, "float16", model.stat().st_size)
    assert facts.encoder == "mobilenet_v3_small, 64 x 64 pixels"
    assert facts.decoder.startswith("transformer, ")
    assert "layers 2" in facts.decoder
    assert "beam_size 2" in facts.decoding
    assert facts.card.text is not None
    assert facts.card.sha256 == facts.sha256


def test_an_int8_model_has_as_many_parameters(model: Path, scored: Save) -> None:
    small = Facts.read("small", scored(model.with_name("small.safetensors"), {}, quantized=True))
    assert (small.weights.parameters, small.weights.stored) == (Facts.read("mine", model).weights.parameters, "int8")
    assert small.card.text is None
    assert small.card.sha256 is None


def test_a_pruned_model_has_as_many_parameters_and_tells_its_zeros(
    tiny_checkpoint: Callable[..., Checkpoint], model: Path, capsys: Any
) -> None:
    from capcli.catalogue.table import print_facts

    pruned, file = dataclasses.replace(tiny_checkpoint(), pruned=True), model.with_name("small.safetensors")
    prune(pruned.model, 0.95)
    recipe = {"name": "again", "stage": [{"epochs": 3}, {"objective": "self-critical", "epochs": 1}]}
    origin = {"model": "mine", "method": "pruning of 95%", "fine_tuning": {"recipe": recipe, "data": ["more"]}}
    dataclasses.replace(pruned, origin=origin).save(file)
    facts = Facts.read("small", file)
    assert facts.weights.zeros == sum(int(zero.sum()) for zero in zeros(pruned.model).values())
    assert (facts.weights.parameters, facts.weights.stored) == (Facts.read("mine", model).weights.parameters, "float16")
    assert facts.history.chosen_on == ["flickr8k", "more"]
    assert facts.to_json()["zeros"] == facts.weights.zeros
    print_facts(facts)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"mostly float16, {facts.weights.zeros / facts.weights.parameters:.1%} zeros" in printed
    assert "fine-tuned by again, cross-entropy for 3 epochs, self-critical for 1 epoch" in printed


def test_a_card_without_a_hash(model: Path) -> None:
    model.with_suffix(".md").write_text("# Mine\n\nSHA-256 unknown, 0123456789abcdef perhaps\n")
    assert Facts.read("mine", model).card.sha256 is None
    model.with_suffix(".md").write_bytes(b"\xff\xfe\xff")
    assert Facts.read("mine", model).card.text == "\ufffd" * 3


@pytest.mark.parametrize(
    ("scores", "chosen_on", "dev", "test"),
    [
        ({"dev flickr8k": {"CIDEr-D": 0.5}}, ["flickr8k"], 0.5, None),
        ({"Flickr8k dev": {"CIDEr-D": 0.6}, "Flickr8k test": {"CIDEr-D": 0.7}}, ["Flickr8k"], 0.6, 0.7),
        ({"COCO, small, held out": {"CIDEr-D": 0.9}}, ["COCO, small"], None, None),
        ({"mine held-out": {"CIDEr-D": 0.9}, "dev mine": {"CIDEr-D": 0.4}}, ["mine"], 0.4, None),
        ({"somewhere": {"CIDEr-D": 0.9}, "dev a": {"BLEU-4": 0.1}, "dev b": {"CIDEr-D": 0.2}}, ["a", "b"], 0.2, None),
        ({}, [], None, None),
    ],
)
def test_data_sets_are_read_from_the_scores(
    scores: dict[str, Any], chosen_on: list[str], dev: float | None, test: float | None, scored: Save, tmp_path: Path
) -> None:
    facts = Facts.read("mine", scored(tmp_path / "mine.safetensors", scores))
    assert facts.history.chosen_on == chosen_on
    assert (facts.history.best_known("dev"), facts.history.best_known("test")) == (dev, test)


def test_a_smaller_model_was_chosen_on_what_its_original_was(scored: Save, tmp_path: Path) -> None:
    origin = {"model": "base", "method": "int8", "scores": {"dev flickr8k": {"CIDEr-D": 0.5}}}
    file = scored(tmp_path / "mine.safetensors", {"other dev": {"CIDEr-D": 0.4}}, origin=origin)
    facts = Facts.read("mine", file)
    assert facts.history.chosen_on == ["flickr8k"]
    assert facts.history.best_known("dev") == 0.4


STRANGE: list[dict[str, Any]] = [
    {},
    {"encoder": None, "decoder": 7, "vocabulary": "abc", "decoding": [1], "recipe": {"stage": 3}},
    {
        "encoder": {"name": ["\x1b[2J", "\ud800"], "size": "[bold]"},
        "scores": {"\x1b[2J dev": {"CIDEr-D": 10**400, "a": True, "b": "c"}, "x": 3},
    },
    {"scores": {"dev a": {"CIDEr-D": float("nan")}}, "origin": {"scores": [1], "model": None}},
    {"left_out": 10**40, "origin": {"fine_tuning": [1]}},
    {"left_out": -5, "origin": {"fine_tuning": {"recipe": 3, "data": [None, {}]}}},
    {"recipe": {"name": {"a": 1}, "stage": [1, {"objective": None}], "data": {"hold_out": "much"}}},
]


@pytest.mark.parametrize("described", STRANGE)
def test_what_a_stranger_s_file_says_breaks_nothing(described: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    from capcli.catalogue.table import print_facts, print_list

    file = tmp_path / "strange.safetensors"
    save_file({"a": torch.zeros(2)}, file, {"format": "capcli 1", "capcli": json.dumps(described)})
    file.with_suffix(".md").write_text("# A card\n\x1b[2J\x9b2J\n")
    facts = Facts.read("strange", file)
    print_facts(facts)
    print_list([facts])
    json.dumps(facts.to_json())
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x9b" not in printed
    assert facts.history.best_known("dev") is None


@pytest.mark.parametrize("content", [b"", b"no model", b"\0" * 99])
def test_a_file_that_is_no_model_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "none.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="not a whole safetensors file") as caught:
        Facts.read("none", tmp_path / "none.safetensors")
    assert "\n" not in str(caught.value)
