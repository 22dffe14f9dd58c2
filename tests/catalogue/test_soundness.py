from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from capcli.catalogue.facts import Facts
from capcli.catalogue.soundness import Check, checks


def found(file: Path) -> dict[str, Check]:
    return {check.name: check for check in checks(Facts.read("mine", file))}


def changed(file: Path, name: str, tensor: torch.Tensor | None) -> None:
    tensors = load_file(file)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_file(tensors, file, metadata)


def test_a_sound_model_passes_everything(model: Path) -> None:
    assert {name: check.passed for name, check in found(model).items()} == {
        "hash": True,
        "config": True,
        "tensors": True,
        "values": True,
    }


def test_without_a_card_there_is_no_hash_to_compare(model: Path) -> None:
    model.with_suffix(".md").unlink()
    assert found(model)["hash"].passed is None
    assert "no card mine.md" in found(model)["hash"].finding
    model.with_suffix(".md").write_text("# Mine\n")
    assert found(model)["hash"].passed is None
    assert "names none" in found(model)["hash"].finding


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(model: Path, value: float) -> None:
    changed(model, "decoder.bias", torch.full((12,), value).half())
    results = found(model)
    assert [name for name, check in results.items() if check.passed is False] == ["hash", "values"]


def test_one_changed_weight_changes_the_hash_alone(model: Path) -> None:
    changed(model, "decoder.bias", torch.full((12,), 0.5).half())
    assert [name for name, check in found(model).items() if check.passed is False] == ["hash"]


@pytest.mark.parametrize(
    ("tensor", "finding"),
    [(None, "lacks 'decoder.bias'"), (torch.zeros(13).half(), "(13,), not (12,)"), (torch.zeros(12).int(), "type I32")],
)
def test_tensors_that_do_not_fit(model: Path, tensor: torch.Tensor | None, finding: str) -> None:
    changed(model, "decoder.bias", tensor)
    contents = found(model)["contents"]
    assert contents.passed is False
    assert finding in contents.finding
    assert str(model) not in contents.finding
