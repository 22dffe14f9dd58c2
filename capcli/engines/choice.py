"""Which engine computes a model: ONNX Runtime where it can and is faster, else torch."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.engines.contract import Engine
from capcli.engines.graphs import Graphs, architecture, can_keep, keep_graphs, read_graphs
from capcli.errors import UsageError
from capcli.model.options import ENGINES
from capcli.model.settings import NO_ENCODER
from capcli.modelfile.header import read_header
from capcli.modelfile.manner import Manner, describing
from capcli.modelfile.sentences import read_sentence_encoder
from capcli.modelfile.weights import read_weights
from capcli.options import check_choice

if TYPE_CHECKING:
    from capcli.engines.torch_engine import TorchEngine
    from capcli.modelfile.checkpoint import Checkpoint


@dataclass
class Loaded:
    """A model that is ready to caption.

    Attributes:
        engine: computes it.
        manner: how it speaks.
        notes: for the user, a line each: why the engine is not the one that was asked for.
    """

    engine: Engine
    manner: Manner
    notes: list[str] = field(default_factory=list)


def load_engine(file: Path, device: str = "auto", engine: str = "auto", language: Path | None = None) -> Loaded:
    """Loads a model.

    `auto` takes ONNX Runtime on a CPU where the model's graphs are there already; `onnx` has torch make them where
    they are not. What ONNX Runtime cannot compute torch does.

    Args:
        file: of the model.
        device: as `choose_device` takes it.
        engine: one of `ENGINES`.
        language: file of a language model beside it, for which torch is needed.

    Raises:
        ModelError: if a file cannot be used.
        UsageError: for an engine that is unknown, or not for that device; if the device is not there, a model is in the
            other's place, or torch is needed and not installed.
    """
    check_choice("engine", engine, ENGINES)
    if engine == "onnx" and device not in ("auto", "cpu"):
        raise UsageError(f"--engine onnx computes on the CPU, not on {device}; leave --device out, or take torch")
    if engine == "onnx" or (engine == "auto" and on_cpu(device)):
        try:
            if language is None:
                return _load_onnx(file, make=engine == "onnx")
            raise _Unfit("a language model has a say only in torch")
        except _Unfit as why:
            notes = [f"{why}; torch takes over"] if engine == "onnx" else []
    else:
        notes = []
    return _load_torch(file, "cpu" if engine == "onnx" else device, language, notes)


def _load_torch(file: Path, device: str, language: Path | None, notes: list[str]) -> Loaded:
    check_torch(f"{file.stem} needs torch here")
    from capcli.engines.torch_engine import TorchEngine
    from capcli.model.device import choose_device
    from capcli.modelfile.checkpoint import Checkpoint

    place = choose_device(device)
    beside = None if language is None else Checkpoint.load(language)
    checkpoint = Checkpoint.load(file)
    check_sees(checkpoint.model.config.encoder.name, file.stem)
    return Loaded(TorchEngine(checkpoint, place, beside), checkpoint.manner, notes)


def check_sees(encoder: str, name: str) -> None:
    """Raises UsageError for a language model, which sees no pictures, in the place of a captioning model."""
    if encoder == NO_ENCODER:
        raise UsageError(f"{name} is a language model and sees no pictures; give it to a captioning model by --lm")


def on_cpu(device: str) -> bool:
    """Whether `choose_device` would take the CPU, as far as one can tell without torch, which takes seconds."""
    if device != "auto":
        return device == "cpu"
    if not installed("torch"):
        return True
    if sys.platform == "darwin":
        return platform.machine() != "arm64"
    drivers = ["/dev/nvidiactl", "/dev/kfd", "/dev/dxg"]  # of NVIDIA, AMD, and either under Windows' Linux
    if sys.platform == "win32":
        drivers = [os.path.expandvars(r"%SystemRoot%\System32\nvcuda.dll")]
    if not any(os.path.exists(driver) for driver in drivers):  # noqa: PTH110 - none is a file that anybody opens
        return True
    from capcli.model.device import choose_device

    return choose_device().type == "cpu"


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


class _Unfit(Exception):  # noqa: N818 - says why another engine takes over
    """ONNX Runtime does not compute the model."""


def _load_onnx(file: Path, *, make: bool) -> Loaded:
    """The model in ONNX Runtime; `make` its graphs where there are none. Raises _Unfit where that cannot be."""
    if not installed("onnxruntime"):
        raise _Unfit("ONNX Runtime is not installed: pip install onnxruntime")
    header = read_header(file)
    if any(kind == "BF16" for kind, _ in header.tensors.values()):
        raise _Unfit(f"{file.name} holds bfloat16, which ONNX Runtime does not take from it")
    key, notes = architecture(header.described), list[str]()
    graphs = read_graphs(key)
    if graphs is None and not make:
        raise _Unfit(f"there are no graphs of {file.name} yet")
    if graphs is None:
        check_torch(f"the graphs of {file.stem} are made with torch")
        from capcli.modelfile.checkpoint import Checkpoint

        checkpoint = Checkpoint.load(file)
        check_sees(checkpoint.model.config.encoder.name, file.stem)
        graphs = make_graphs(checkpoint)
        if (unkept := keep_graphs(key, graphs)) is not None:
            notes.append(f"the graphs of {file.name} cannot be kept, so the next run makes them again: {unkept}")
    with describing(file):
        manner = Manner.read(header.described)
        manner.check(graphs.longest, matches="matcher" in graphs.parts)
    from capcli.engines.onnx_engine import OnnxEngine

    try:
        weights = read_weights(file, graphs.shapes)
        engine = OnnxEngine(graphs, weights, lambda: _in_torch(file), lambda: read_sentence_encoder(file))
    except ValueError as error:
        raise _Unfit(f"ONNX Runtime does not take {file.name} ({error})") from None
    return Loaded(engine, manner, notes)


def prepare_graphs(file: Path, checkpoint: Checkpoint) -> None:
    """Makes the graphs of a model that was just written, so that ONNX Runtime can have it; what hinders is no error."""
    key = architecture(read_header(file).described)
    wanted = checkpoint.model.config.encoder.sees and installed("onnxruntime")
    if wanted and read_graphs(key) is None and can_keep():
        with suppress(_Unfit):
            keep_graphs(key, make_graphs(checkpoint))


def make_graphs(checkpoint: Checkpoint) -> Graphs:
    """The graphs of a model, made with torch; raises _Unfit where it cannot."""
    if not installed("onnx"):
        raise _Unfit("graphs are made with onnx, which is not installed: pip install onnx")
    from capcli.engines.export import export_graphs

    try:
        return export_graphs(checkpoint.model)
    except Exception as error:  # torch's exporter raises nearly every type on what it does not know
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _Unfit(f"torch cannot make graphs of this model ({lines[0]})") from None


def _in_torch(file: Path) -> TorchEngine:
    """The same model in torch, for what ONNX Runtime does not compute; raises UsageError where there is no torch."""
    check_torch("gradients and sampling need torch")
    import torch

    from capcli.engines.torch_engine import TorchEngine
    from capcli.modelfile.checkpoint import Checkpoint

    return TorchEngine(Checkpoint.load(file), torch.device("cpu"), exact=True)


def check_torch(why: str) -> None:
    """Raises UsageError where torch is not installed."""
    if not (installed("torch") and installed("torchvision")):
        raise UsageError(f"{why}; torch is not installed: pip install torch torchvision")
