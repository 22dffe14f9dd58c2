from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import capcli.files.atomic
from capcli.errors import CapcliError, ModelError
from capcli.model.decoders.registry import decoders
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import Calibration
from capcli.modelfile.header import KEPT, SCALE, read_header
from capcli.modelfile.pruning import prune, zeros
from capcli.modelfile.shipped import find_model
from capcli.modelfile.weights import NotFinite

Build = Callable[..., Checkpoint]


@pytest.mark.parametrize("region_layers", [0, 1])
@pytest.mark.parametrize("decoder", sorted(decoders()))
def test_a_round_trip_in_float32_is_exact(
    tiny_checkpoint: Build, decoder: str, region_layers: int, tmp_path: Path
) -> None:
    saved = tiny_checkpoint(decoder, region_layers=region_layers)
    saved.save(tmp_path / "model.safetensors", torch.float32)
    loaded = Checkpoint.load(tmp_path / "model.safetensors")
    before, after = saved.model.state_dict(), loaded.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (loaded.options, loaded.recipe, loaded.scores) == (saved.options, saved.recipe, saved.scores)
    assert loaded.model.config == saved.model.config
    assert loaded.model.vocabulary.words == saved.model.vocabulary.words
    assert not loaded.model.training
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    words = torch.tensor([[1, 4, 5]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(images, words)[0], saved.model(images, words)[0])


@pytest.mark.parametrize("calibration", [None, Calibration(3.5, 2.25, ((0.0, 0.5, 100), (0.1, 0.75, 40)))])
def test_the_calibration_comes_back(tiny_checkpoint: Build, calibration: Calibration | None, tmp_path: Path) -> None:
    dataclasses.replace(tiny_checkpoint(), calibration=calibration).save(tmp_path / "model.safetensors")
    assert Checkpoint.load(tmp_path / "model.safetensors").calibration == calibration


def test_a_round_trip_in_float16_is_close(tiny_checkpoint: Build, tiny_file: Path) -> None:
    before, after = tiny_checkpoint().model.state_dict(), Checkpoint.load(tiny_file).model.state_dict()
    assert {tensor.dtype for tensor in load_file(tiny_file).values()} == {torch.float16}
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    for name in before:
        torch.testing.assert_close(before[name], after[name], rtol=1e-3, atol=1e-6)


def test_a_loaded_model_can_be_trained_and_saved_again(tiny_file: Path, tmp_path: Path) -> None:
    loaded = Checkpoint.load(tiny_file)
    loaded.model.encoder.train_from(0)
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    loaded.model(images, torch.tensor([[1, 4, 5]]))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.model.parameters())
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").stat().st_size == tiny_file.stat().st_size


def refuse(file: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        Checkpoint.load(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refuse(tmp_path / "absent.safetensors", "no such model file")
    refuse(tmp_path, "no such model file")


def test_a_truncated_file(tiny_file: Path, tmp_path: Path) -> None:
    whole, file = tiny_file.read_bytes(), tmp_path / "cut.safetensors"
    for share in (0.0, 1e-6, 1e-5, 1e-4, 0.01, 0.2, 0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        refuse(file, "not a whole safetensors file")
    file.write_bytes(whole[:-1])
    refuse(file, "not a whole safetensors file")


@pytest.mark.parametrize(
    "content", [b"A photograph of a dog.\n" * 50, b"\xff\xd8\xff\xe0" * 9, b"PK\x03\x04" * 9, b"\0" * 99]
)
def test_a_renamed_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.safetensors").write_bytes(content)
    refuse(tmp_path / "notes.safetensors", "not a whole safetensors file")


def test_a_model_of_another_program(tmp_path: Path) -> None:
    for number, metadata in enumerate((None, {"format": "pt"}, {"format": "capcli 99"})):
        file = tmp_path / f"{number}.safetensors"
        save_file({"weight": torch.zeros(2)}, file, metadata)
        refuse(file, "not a capcli model")


@pytest.fixture
def rewrite(tiny_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """Saves the tiny model anew with another description or other tensors."""

    def save(change: Callable[[dict[str, Any], dict[str, Tensor]], None]) -> Path:
        tensors = load_file(tiny_file)
        with safe_open(tiny_file, framework="pt") as file:
            metadata = file.metadata()
        described = json.loads(metadata["capcli"])
        change(described, tensors)
        changed = tmp_path / "changed.safetensors"
        save_file(tensors, changed, metadata | {"capcli": json.dumps(described)})
        return changed

    return save


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000, None])
def test_a_broken_description(text: str | None, tmp_path: Path) -> None:
    metadata = {"format": "capcli 1"} | ({} if text is None else {"capcli": text})
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", metadata)
    refuse(tmp_path / "model.safetensors", "its description is broken")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("is", lambda t: t.update({"decoder.bias": torch.zeros(13)})),
        ("is", lambda t: t.update({"decoder.bias": torch.zeros(12, 1)})),
        ("lacks 'decoder.bias'", lambda t: t.pop("decoder.bias")),
        ("has an unexpected 'more'", lambda t: t.update(more=torch.zeros(1))),
    ],
)
def test_tensors_that_do_not_fit(kind: str, change: Callable[[dict[str, Tensor]], Any], rewrite: Any) -> None:
    refuse(rewrite(lambda described, tensors: change(tensors)), f"do not fit its config: .*{kind}")


def update(part: str, **values: Any) -> Callable[[dict[str, Any], Any], None]:
    return lambda described, tensors: described[part].update(values)


def replace(part: str, value: Any) -> Callable[[dict[str, Any], Any], None]:
    return lambda described, tensors: described.update({part: value})


@pytest.mark.parametrize(
    "change",
    [
        *(update("decoder", width=width) for width in (10**9, 10**40, 32, 0, -16, "16", None)),
        *(update("decoder", layers=layers) for layers in (10**9, 0, 3)),
        *(update("decoder", region_layers=layers) for layers in (10**9, 0)),
        *(update("decoder", max_length=length) for length in (10**9, 0)),
        *(update("decoder", heads=heads) for heads in (0, 3)),
        *(update("decoder", name=name) for name in ("lstm", "gru", None, ["lstm"])),
        update("decoder", dropout=2.0),
        update("decoder", extra=1),
        *(update("encoder", size=size) for size in (10**9, 0, -64, 64.5, "64", None)),
        *(update("encoder", name=name) for name in ("resnet_18", None, "vit_b_16", "resnet18")),
        *(update("encoder", mean=mean) for mean in (0.5, "abc", [None] * 3, [0.1] * 4)),
        *(update("encoder", std=std) for std in ([0, 0, 0], None)),
        update("encoder", extra=1),
        *(update("decoding", beam_size=size) for size in (0, 10**9, "3", 2.5)),
        lambda described, tensors: (described["decoder"].update(max_length=5), tensors.clear()),
        *(update("decoding", length_penalty=penalty) for penalty in (float("nan"), -1)),
        update("decoding", extra=1),
        *(
            replace("calibration", value)
            for value in (
                7,
                "a",
                {"slope": 1.0},
                {"slope": -1.0, "intercept": 0.0, "table": []},
                {"slope": 1.0, "intercept": 0.0, "table": [["a", 1, 2]]},
                {"slope": 1.0, "intercept": 0.0, "table": 3},
            )
        ),
        *(replace(part, value) for part in ("encoder", "decoder", "decoding") for value in (None, "a", [[1]])),
        *(replace("vocabulary", value) for value in (None, "word", {}, ["a"])),
        lambda described, tensors: described["vocabulary"].append("surplus"),
        lambda described, tensors: described["vocabulary"].extend(["same", "same"]),
        lambda described, tensors: described["vocabulary"].extend(str(i) for i in range(100_000)),
        lambda described, tensors: described["vocabulary"].append(7),
        *(lambda described, tensors, part=part: described.pop(part) for part in ("encoder", "decoder", "vocabulary")),
    ],
)
def test_a_hostile_description(change: Callable[..., None], rewrite: Any) -> None:
    refuse(rewrite(change), "cannot be used|do not fit its config")


def test_a_failed_save_leaves_the_old_file_whole(
    tiny_checkpoint: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.safetensors"
    tiny_checkpoint().save(file)
    before = file.read_bytes()

    def full(part: io.FileIO, content: bytes) -> None:
        part.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(capcli.files.atomic, "write_whole", full)
    with pytest.raises(CapcliError, match=r"model.safetensors: cannot be written \(.*No space left") as caught:
        tiny_checkpoint("lstm").save(file)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_replaced_keeps_its_permissions_and_what_links_to_it(
    tiny_checkpoint: Build, tmp_path: Path
) -> None:
    file, link = tmp_path / "model.safetensors", tmp_path / "link.safetensors"
    tiny_checkpoint().save(file)
    file.chmod(0o600)
    link.symlink_to(file)
    tiny_checkpoint("lstm").save(link)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600
    assert Checkpoint.load(file).model.config.decoder["name"] == "lstm"


def test_older_files_tell_in_their_recipe_what_was_held_out(rewrite: Any) -> None:
    def older(described: dict[str, Any], _: Any) -> None:
        del described["held_out"]
        described["recipe"] = {"data": {"hold_out": 0.25}}

    file = rewrite(older)
    assert read_header(file).held_out == Checkpoint.load(file).held_out == 0.25
    assert read_header(find_model("base")).held_out == 0.06


def test_saving_to_a_folder_that_is_not_there(tiny_checkpoint: Build, tmp_path: Path) -> None:
    with pytest.raises(CapcliError, match="cannot be written"):
        tiny_checkpoint().save(tmp_path / "absent" / "model.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, rewrite: Any) -> None:
    refuse(rewrite(lambda described, tensors: tensors["decoder.bias"].fill_(value)), "not finite numbers")


@pytest.fixture(scope="module")
def int8_file(tiny_checkpoint: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in int8; tests leave it as it is."""
    file = tmp_path_factory.mktemp("model") / "int8.safetensors"
    dataclasses.replace(tiny_checkpoint(), quantized=True, origin={"model": "tiny", "method": "int8"}).save(file)
    return file


@pytest.mark.parametrize("region_layers", [0, 1])
@pytest.mark.parametrize("decoder", sorted(decoders()))
def test_a_round_trip_in_int8_is_close_and_half_the_size(
    tiny_checkpoint: Build, decoder: str, region_layers: int, tmp_path: Path
) -> None:
    whole, small, again = (tmp_path / f"{name}.safetensors" for name in ("whole", "small", "again"))
    saved = tiny_checkpoint(decoder, region_layers=region_layers)
    saved.save(whole)
    dataclasses.replace(saved, quantized=True, origin={"model": "whole"}).save(small)
    assert small.stat().st_size < 0.6 * whole.stat().st_size
    loaded = Checkpoint.load(small)
    assert (loaded.quantized, loaded.origin, Checkpoint.load(whole).quantized) == (True, {"model": "whole"}, False)
    before, after = saved.model.state_dict(), loaded.model.state_dict()
    assert before.keys() == after.keys()
    for name in before:
        assert after[name].dtype == torch.float32
        assert (before[name] - after[name]).abs().max() <= before[name].abs().max() / 127
    loaded.save(again)
    first, second = load_file(small), load_file(again)
    assert all(torch.equal(first[name], second[name]) for name in first if first[name].dtype == torch.int8)


def test_only_the_weights_of_layers_are_int8(int8_file: Path) -> None:
    tensors = read_header(int8_file).tensors
    small = {name for name, (kind, _) in tensors.items() if kind == "I8"}
    assert small
    assert {name for name, (kind, _) in tensors.items() if kind == "F32"} == {name + SCALE for name in small}
    assert all(tensors[name + SCALE][1] == tensors[name][1][:1] for name in small)
    assert tensors["decoder.norm.weight"][0] == "F16"


def test_an_int8_model_can_be_trained(int8_file: Path, tmp_path: Path) -> None:
    loaded = Checkpoint.load(int8_file)
    loaded.model.encoder.train_from(0)
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    loaded.model(images, torch.tensor([[1, 4, 5]]))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.model.parameters())
    dataclasses.replace(loaded, quantized=False).save(tmp_path / "trained.safetensors")
    assert not Checkpoint.load(tmp_path / "trained.safetensors").quantized


EMBEDDING = "decoder.embedding.weight"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("lacks 'decoder.embedding.weight.scale'", lambda t: t.pop(EMBEDDING + SCALE)),
        ("scale' is", lambda t: t.update({EMBEDDING + SCALE: torch.ones(3)})),
        ("scale' is", lambda t: t.update({EMBEDDING + SCALE: torch.ones(12, 1)})),
        ("scale' is of type F16", lambda t: t.update({EMBEDDING + SCALE: torch.ones(12).half()})),
        ("scale' is of type I8", lambda t: t.update({EMBEDDING + SCALE: torch.ones(12).to(torch.int8)})),
        ("weight' is", lambda t: t.update({EMBEDDING: torch.ones(12, 17).to(torch.int8)})),
        ("unexpected 'decoder.embedding.weight.scale'", lambda t: t.update({EMBEDDING: torch.ones(12, 16)})),
        ("of type I8", lambda t: t.update({"decoder.bias": torch.ones(12).to(torch.int8)})),
        ("unexpected 'decoder.bias.scale'", lambda t: t.update({"decoder.bias.scale": torch.ones(12)})),
        ("of type U8", lambda t: (t.pop(EMBEDDING + SCALE), t.update({EMBEDDING: torch.ones(12, 16).byte()}))),
    ],
)
def test_int8_tensors_that_do_not_fit(
    kind: str, change: Callable[[dict[str, Tensor]], Any], int8_file: Path, tmp_path: Path
) -> None:
    tensors = load_file(int8_file)
    change(tensors)
    with safe_open(int8_file, framework="pt") as file:
        save_file(tensors, tmp_path / "changed.safetensors", file.metadata())
    refuse(tmp_path / "changed.safetensors", f"do not fit its config: .*{kind}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scales_that_are_no_numbers(value: float, int8_file: Path, tmp_path: Path) -> None:
    tensors = load_file(int8_file)
    tensors[EMBEDDING + SCALE][5] = value
    with safe_open(int8_file, framework="pt") as file:
        save_file(tensors, tmp_path / "changed.safetensors", file.metadata())
    with pytest.raises(NotFinite, match="not finite numbers"):
        Checkpoint.load(tmp_path / "changed.safetensors")


@pytest.mark.parametrize("part", ["recipe", "scores", "origin"])
def test_parts_that_are_no_objects(part: str, rewrite: Any) -> None:
    refuse(rewrite(replace(part, [1])), f"its description is broken .*{part}")


@pytest.fixture(scope="module", params=[False, True], ids=["float16", "int8"])
def pruned(request: pytest.FixtureRequest, tiny_checkpoint: Build) -> Checkpoint:
    """The tiny model without half of its layers' weights; tests leave it as it is."""
    found = dataclasses.replace(tiny_checkpoint(), pruned=True, quantized=request.param)
    prune(found.model, 0.5)
    return found


@pytest.fixture
def pruned_file(pruned: Checkpoint, tmp_path: Path) -> Path:
    pruned.save(tmp_path / "pruned.safetensors")
    return tmp_path / "pruned.safetensors"


def test_a_pruned_model_is_smaller_and_comes_back_as_it_would_have(
    pruned: Checkpoint, pruned_file: Path, tmp_path: Path
) -> None:
    dense, again = tmp_path / "dense.safetensors", tmp_path / "again.safetensors"
    dataclasses.replace(pruned, pruned=False).save(dense)
    # Of each number of 16 or 8 bits one bit is left, and of half of them the number.
    assert pruned_file.stat().st_size < (0.7 if pruned.quantized else 0.62) * dense.stat().st_size
    loaded = Checkpoint.load(pruned_file)
    assert (loaded.pruned, loaded.quantized, Checkpoint.load(dense).pruned) == (True, pruned.quantized, False)
    expected, found = Checkpoint.load(dense).model.state_dict(), loaded.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    loaded.save(again)
    third = Checkpoint.load(again).model.state_dict()
    assert all(torch.equal(value, third[name]) for name, value in found.items())


def test_in_float32_a_pruned_model_comes_back_bit_for_bit(pruned: Checkpoint, tmp_path: Path) -> None:
    dataclasses.replace(pruned, quantized=False).save(tmp_path / "model.safetensors", torch.float32)
    loaded = Checkpoint.load(tmp_path / "model.safetensors").model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in pruned.model.state_dict().items())


def test_the_file_says_how_many_zeros_it_leaves_out(pruned: Checkpoint, pruned_file: Path) -> None:
    count = sum(int(zero.sum()) for zero in zeros(pruned.model).values())
    assert read_header(pruned_file).described["left_out"] == count


def drop(tensors: dict[str, Tensor]) -> None:
    tensors[EMBEDDING] = tensors[EMBEDDING][:-1].clone()


def dense(tensors: dict[str, Tensor]) -> None:
    tensors[EMBEDDING] = torch.ones(12, 16).to(tensors[EMBEDDING].dtype)


BITS = EMBEDDING + KEPT


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("weight': its bits tell", drop),
        ("weight': its bits tell", lambda t: t[BITS].bitwise_xor_(1)),
        (r"weight' is \(12, 16\), not \(192,\)", dense),
        (r"weight' is \(193,\), not \(192,\)", lambda t: t.update({EMBEDDING: torch.ones(193).to(t[EMBEDDING].dtype)})),
        (r"kept' is \(23,\), not \(24,\)", lambda t: t.update({BITS: t[BITS][:-1].clone()})),
        (r"kept' is \(2, 12\)", lambda t: t.update({BITS: t[BITS].view(2, 12).clone()})),
        ("kept' is of type I8", lambda t: t.update({BITS: t[BITS].to(torch.int8)})),
        ("(weight' is|unexpected 'decoder.embedding.weight.scale')", lambda t: t.pop(BITS)),
        ("unexpected 'decoder.bias.kept'", lambda t: t.update({"decoder.bias.kept": torch.ones(2).byte()})),
        (
            "(of type I32|unexpected 'decoder.embedding.weight.scale')",
            lambda t: t.update({EMBEDDING: t[EMBEDDING].int()}),
        ),
    ],
)
def test_pruned_tensors_that_do_not_fit(
    message: str, change: Callable[[dict[str, Tensor]], Any], pruned_file: Path, tmp_path: Path
) -> None:
    tensors = load_file(pruned_file)
    before = tensors[EMBEDDING].numel()
    change(tensors)
    with safe_open(pruned_file, framework="pt") as file:
        described = json.loads(file.metadata()["capcli"])
    # A hostile file would not contradict itself so soon.
    described["left_out"] += before - tensors[EMBEDDING].numel()
    metadata = {"format": "capcli 1", "capcli": json.dumps(described)}
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    refuse(tmp_path / "changed.safetensors", f"do not fit its config: .*{message}")


def test_bits_of_numbers_that_there_are_not(tiny_checkpoint: Build, tmp_path: Path) -> None:
    odd = dataclasses.replace(tiny_checkpoint("lstm", embedding=11), pruned=True)
    prune(odd.model, 0.5)
    odd.save(tmp_path / "odd.safetensors")
    tensors = load_file(tmp_path / "odd.safetensors")
    state = odd.model.state_dict()
    (name, *_) = (name for name in tensors if name.endswith(KEPT) and state[name.removesuffix(KEPT)].numel() % 8)
    tensors[name][-1] += 128
    with safe_open(tmp_path / "odd.safetensors", framework="pt") as file:
        save_file(tensors, tmp_path / "changed.safetensors", file.metadata())
    refuse(tmp_path / "changed.safetensors", "its bits tell")


@pytest.mark.parametrize("count", [0, -1, 10**30])
def test_a_file_that_is_wrong_about_its_zeros(count: int, pruned_file: Path, tmp_path: Path) -> None:
    with safe_open(pruned_file, framework="pt") as file:
        described = json.loads(file.metadata()["capcli"])
    metadata = {"format": "capcli 1", "capcli": json.dumps(described | {"left_out": count})}
    save_file(load_file(pruned_file), tmp_path / "changed.safetensors", metadata)
    refuse(tmp_path / "changed.safetensors", "cannot be used .*zeros")


@pytest.mark.parametrize("count", [None, "3", 1.5, [1]])
def test_a_number_of_zeros_that_is_none(count: Any, rewrite: Any) -> None:
    refuse(rewrite(replace("left_out", count)), "its description is broken .*zeros")


def test_a_number_that_is_none_among_those_kept(pruned: Checkpoint, pruned_file: Path, tmp_path: Path) -> None:
    tensors = load_file(pruned_file)
    tensors[EMBEDDING + SCALE if pruned.quantized else EMBEDDING][5] = float("nan")
    with safe_open(pruned_file, framework="pt") as file:
        save_file(tensors, tmp_path / "changed.safetensors", file.metadata())
    with pytest.raises(NotFinite, match="not finite numbers"):
        Checkpoint.load(tmp_path / "changed.safetensors")
