from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from capcli.captioner import Captioner
from capcli.engines import choice, export, graphs
from capcli.engines.choice import prepare_graphs
from capcli.engines.torch_engine import TorchEngine
from capcli.errors import ModelError, UsageError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.header import SCALE
from capcli.modelfile.pruning import prune
from capcli.modelfile.shipped import find_model
from capcli.modelfile.weights import NotFinite

PICTURES = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "capcli" / "graphs"


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes packages look as if they were not installed."""
    find = importlib.util.find_spec

    def take_away(*names: str) -> None:
        monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None if name in names else find(name))

    return take_away


@pytest.fixture
def unable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the making of graphs fail as torch's exporter does."""

    def fail(model: object) -> None:
        raise RuntimeError("aten::some_operator is not supported\n  graph(%0): ...")

    monkeypatch.setattr(export, "export_graphs", fail)


def test_graphs_are_made_once_and_kept(tiny_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Captioner.load(tiny_file, "cpu").engine == "torch", "auto makes no one wait for graphs"
    captioner = Captioner.load(tiny_file, engine="onnx")
    assert (captioner.engine, captioner.notes) == ("onnx", ())
    monkeypatch.setattr(export, "export_graphs", lambda model: pytest.fail("made again"))
    assert Captioner.load(tiny_file, engine="onnx").engine == "onnx"
    auto, in_torch = Captioner.load(tiny_file, "cpu"), Captioner.load(tiny_file, "cpu", engine="torch")
    assert (auto.engine, in_torch.engine) == ("onnx", "torch")
    assert [c.text for c in auto.caption_arrays(PICTURES)] == [c.text for c in in_torch.caption_arrays(PICTURES)]


@pytest.mark.slow
def test_torn_graphs_are_made_anew(tiny_file: Path, cache: Path) -> None:
    Captioner.load(tiny_file, engine="onnx")
    (kept,) = cache.glob("*.graphs")
    whole = kept.read_bytes()
    for torn in (b"", whole[: len(whole) // 2]):
        kept.write_bytes(torn)
        assert Captioner.load(tiny_file, engine="onnx").engine == "onnx"
        assert kept.read_bytes() == whole


def test_graphs_of_another_architecture_are_not_taken(
    tiny_file: Path, tiny_checkpoint: Any, tmp_path: Path, cache: Path
) -> None:
    Captioner.load(tiny_file, engine="onnx")
    tiny_checkpoint("transformer", width=32).save(tmp_path / "wider.safetensors")
    assert Captioner.load(tmp_path / "wider.safetensors", "cpu").engine == "torch"


def test_a_cache_that_cannot_be_written(tiny_file: Path) -> None:
    captioner = Captioner.load(tiny_file, engine="onnx")
    assert captioner.engine == "onnx"
    (note,) = captioner.notes
    assert "graphs of tiny.safetensors cannot be kept, so the next run makes them again: /dev/null/capcli" in note


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (("onnxruntime",), "ONNX Runtime is not installed: pip install onnxruntime; torch takes over"),
        (("onnx",), "graphs are made with onnx, which is not installed: pip install onnx; torch takes over"),
    ],
)
def test_a_package_that_is_not_installed(
    tiny_file: Path, cache: Path, missing: Callable[..., None], packages: tuple[str, ...], message: str
) -> None:
    missing(*packages)
    captioner = Captioner.load(tiny_file, engine="onnx")
    assert (captioner.engine, captioner.device, captioner.notes) == ("torch", "cpu", (message,))
    assert Captioner.load(tiny_file, "cpu").notes == (), "nobody asked for it"


def test_a_model_of_which_torch_can_make_no_graphs(tiny_file: Path, cache: Path, unable: None) -> None:
    captioner = Captioner.load(tiny_file, engine="onnx")
    assert captioner.engine == "torch"
    (note,) = captioner.notes
    assert note == "torch cannot make graphs of this model (aten::some_operator is not supported); torch takes over"
    assert not cache.exists()


def test_graphs_that_onnx_runtime_does_not_take(tiny_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one too old for them."""
    Captioner.load(tiny_file, engine="onnx")
    (kept,) = cache.glob("*.graphs")
    exported = graphs.Graphs.from_bytes(kept.read_bytes())
    exported.parts["step"] = graphs.Graph(b"\x08\x63", exported.parts["step"].weights)  # type: ignore[index]
    kept.write_bytes(exported.to_bytes())
    captioner = Captioner.load(tiny_file, engine="onnx")
    assert captioner.engine == "torch" and "ONNX Runtime does not take tiny.safetensors" in captioner.notes[0]
    assert Captioner.load(tiny_file, "cpu").notes == ()


def test_a_language_model_needs_torch(tiny_file: Path, tiny_language: Any, tmp_path: Path, cache: Path) -> None:
    tiny_language(["a", "dog"]).save(tmp_path / "lm.safetensors")
    captioner = Captioner.load(tiny_file, language_model=tmp_path / "lm.safetensors", engine="onnx")
    assert (captioner.engine, captioner.notes) == (
        "torch",
        ("a language model has a say only in torch; torch takes over",),
    )
    with pytest.raises(UsageError, match="lm is a language model and sees no pictures"):
        Captioner.load(tmp_path / "lm.safetensors", engine="onnx")


def test_bfloat16_files_are_left_to_torch(tiny_checkpoint: Any, tmp_path: Path, cache: Path) -> None:
    tiny_checkpoint().save(tmp_path / "b.safetensors", torch.bfloat16)
    captioner = Captioner.load(tmp_path / "b.safetensors", engine="onnx")
    assert captioner.engine == "torch" and "b.safetensors holds bfloat16" in captioner.notes[0]


@pytest.mark.parametrize("change", [{"quantized": True}, {"pruned": True}, {"quantized": True, "pruned": True}])
def test_smaller_files_hold_the_same_weights(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, cache: Path, change: dict[str, bool]
) -> None:
    checkpoint = tiny_checkpoint()
    for name, value in checkpoint.model.state_dict().items():
        if name.endswith("feed.0.weight"):
            value[:, ::2] = 0
    object.__setattr__(checkpoint, "quantized", change.get("quantized", False))
    object.__setattr__(checkpoint, "pruned", change.get("pruned", False))
    checkpoint.save(tmp_path / "small.safetensors")
    onnx, in_torch = (Captioner.load(tmp_path / "small.safetensors", "cpu", engine=name) for name in ("onnx", "torch"))
    assert (onnx.engine, in_torch.engine) == ("onnx", "torch")
    captions = [[caption.text for caption in captioner.caption_arrays(PICTURES)] for captioner in (onnx, in_torch)]
    assert captions[0] == captions[1]
    weights = Checkpoint.load(tmp_path / "small.safetensors").model.state_dict()
    read = choice.read_weights(tmp_path / "small.safetensors", {name: tuple(v.shape) for name, v in weights.items()})
    for name, value in weights.items():
        np.testing.assert_array_equal(read[name], value.numpy())


def test_weights_that_do_not_fit_or_are_no_numbers(tiny_checkpoint: Any, tmp_path: Path, cache: Path) -> None:
    checkpoint = tiny_checkpoint()
    checkpoint.save(tmp_path / "whole.safetensors")
    Captioner.load(tmp_path / "whole.safetensors", engine="onnx")
    checkpoint.model.decoder.norm.weight.data[0] = torch.nan
    checkpoint.save(tmp_path / "broken.safetensors")
    with pytest.raises(
        ModelError, match=r"broken\.safetensors: holds weights that are not finite numbers; train it again"
    ):
        Captioner.load(tmp_path / "broken.safetensors", "cpu")


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("scale", [np.nan, np.inf, 1e38])
def test_scales_that_make_weights_no_numbers(tiny_checkpoint: Any, tmp_path: Path, scale: float, pruned: bool) -> None:
    checkpoint = dataclasses.replace(tiny_checkpoint(), quantized=True, pruned=pruned)
    if pruned:
        prune(checkpoint.model, 0.5)
    checkpoint.save(tmp_path / "small.safetensors")
    shapes = {name: tuple(value.shape) for name, value in checkpoint.model.state_dict().items()}
    with safe_open(tmp_path / "small.safetensors", "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        metadata = file.metadata()
    broken = next(name for name in tensors if name.endswith(SCALE))
    tensors[broken] = np.full_like(tensors[broken], scale)
    save_file(tensors, tmp_path / "small.safetensors", metadata)
    with pytest.raises(NotFinite, match=r"small\.safetensors: holds weights that are not finite numbers"):
        choice.read_weights(tmp_path / "small.safetensors", shapes)


@pytest.mark.parametrize(
    ("device", "engine", "message"),
    [
        ("cpu", "tensorflow", "engine must be one of auto, onnx, torch, not 'tensorflow'"),
        ("cuda", "onnx", "--engine onnx computes on the CPU, not on cuda"),
        ("gpu", "auto", "no device named 'gpu'"),
    ],
)
def test_what_cannot_be_asked_for(tiny_file: Path, device: str, engine: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Captioner.load(tiny_file, device, engine=engine)


def test_a_computer_without_torch(
    tiny_file: Path, tiny_checkpoint: Any, tmp_path: Path, cache: Path, missing: Callable[..., None]
) -> None:
    Captioner.load(tiny_file, engine="onnx")
    tiny_checkpoint("gru").save(tmp_path / "other.safetensors")
    missing("torch", "torchvision")
    captioner = Captioner.load(tiny_file)
    assert captioner.engine == "onnx"
    assert captioner.caption_arrays(PICTURES)[0].text == captioner.attend_arrays(PICTURES, method="attention")[0].text
    for needing in ({"sample": True}, {"method": "gradient"}):
        work = captioner.attend_arrays if "method" in needing else captioner.caption_arrays
        options = needing if "method" in needing else {"options": captioner.options.replace(**needing)}
        with pytest.raises(UsageError, match="need torch; torch is not installed: pip install torch torchvision"):
            work(PICTURES, **options)
    for engine, reason in (("auto", "other needs torch here"), ("onnx", "the graphs of other are made with torch")):
        with pytest.raises(UsageError, match=f"^{reason}; torch is not installed: pip install torch torchvision$"):
            Captioner.load(tmp_path / "other.safetensors", engine=engine)


def test_a_gpu_is_asked_for_by_torch_alone(tiny_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Captioner.load(tiny_file, engine="onnx")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(choice.os.path, "exists", lambda path: path == "/dev/nvidiactl")
    monkeypatch.setattr("capcli.model.device.choose_device", lambda name="auto": torch.device("cpu"))
    assert choice.on_cpu("auto")
    monkeypatch.setattr("capcli.model.device.choose_device", lambda name="auto": torch.device("cuda"))
    assert not choice.on_cpu("auto")
    assert choice.on_cpu("cpu") and not choice.on_cpu("cuda")


def test_a_model_that_was_trained_is_ready(tiny_file: Path, cache: Path, unable: None) -> None:
    prepare_graphs(tiny_file, Checkpoint.load(tiny_file))  # what hinders is no error
    assert list(cache.iterdir()) == []


def test_a_trained_models_graphs_are_there(tiny_file: Path, cache: Path) -> None:
    prepare_graphs(tiny_file, Checkpoint.load(tiny_file))
    assert Captioner.load(tiny_file, "cpu").engine == "onnx"


@pytest.mark.slow
def test_base_says_in_onnx_what_it_says_in_torch() -> None:
    """Its graphs have to be made anew whenever the model's code computes another way: benchmarks/ship_graphs.py."""
    photographs = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))[:3]
    onnx = Captioner.load(engine="onnx")
    assert (onnx.engine, onnx.notes) == ("onnx", ())
    file = find_model("base")
    checkpoint = Checkpoint.load(file)
    in_torch = Captioner(TorchEngine(checkpoint, torch.device("cpu"), exact=True), checkpoint.manner, "base", file)
    arrays = np.stack([onnx.prepare(photograph) for photograph in photographs])
    np.testing.assert_allclose(onnx.encode(arrays), in_torch.encode(arrays).numpy(), atol=1e-3)
    for found, expected in zip(
        *(captioner.attend_arrays(arrays, method="attention") for captioner in (onnx, in_torch)), strict=True
    ):
        assert found.text == expected.text
        assert found.confidence == pytest.approx(expected.confidence, abs=1e-4)
        for word, same_word in zip(found.words, expected.words, strict=True):
            np.testing.assert_allclose(word.attention, same_word.attention, atol=1e-4)
    np.testing.assert_allclose(onnx.picture_vectors(arrays), in_torch.picture_vectors(arrays), atol=1e-4)
