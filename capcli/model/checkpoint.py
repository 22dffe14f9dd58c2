"""One safetensors file is a whole model: weights, and in its metadata everything else, as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, ModelError, UsageError
from capcli.model.calibration import Calibration
from capcli.model.captioning import CaptioningModel, ModelConfig
from capcli.model.decoder import decoder_config
from capcli.model.encoder import LARGEST_INPUT, EncoderConfig
from capcli.model.header import FORMAT, SCALE, description, kinds, opened
from capcli.model.quantization import dequantize, quantizable, quantize
from capcli.model.vocabulary import Vocabulary

LARGEST_VOCABULARY = 1_000_000

_KINDS = ("F16", "BF16", "F32")


class NotFinite(ModelError):  # noqa: N818 - says what the weights are
    """A model file whole but for weights that are infinite or not numbers."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Attributes:
        model: the model, on the CPU, in float32 and evaluation mode.
        options: the decoding options chosen for it on dev.
        recipe: the recipe that trained it, as plain values.
        scores: figures it was measured at, by data set and metric.
        calibration: of its confidence, or None where it was not calibrated.
        quantized: whether the file holds the weights of the layers as int8, half the size of float16. Loaded they are
            float32 again; see `Captioner` for how it computes with them.
        origin: of a model that was made smaller, what it was made of and how: `model`, `sha256`, `method`, and
            `scores`, which are the original's. Empty for others.
    """

    model: CaptioningModel
    options: DecodingOptions
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    quantized: bool = False
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Writes the file atomically: a crash or a full disk leaves the old one whole.

        Args:
            path: where to; its folder exists.
            dtype: storage of the weights, but for those that are int8.

        Raises:
            CapcliError: if the file cannot be written.
        """
        described = {
            **self.model.config.to_json(),
            "vocabulary": list(self.model.vocabulary.words),
            "decoding": dataclasses.asdict(self.options),
            "recipe": self.recipe,
            "scores": self.scores,
            "calibration": self.calibration and self.calibration.to_json(),
            **({"origin": self.origin} if self.origin else {}),
        }
        tensors: dict[str, Tensor] = {}
        small = quantizable(self.model) if self.quantized else set()
        for name, value in self.model.state_dict().items():
            if name in small:
                tensors[name], tensors[name + SCALE] = quantize(value)
            else:
                tensors[name] = value.to(dtype)
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        write_safetensors(Path(path), tensors, {"format": FORMAT, "capcli": json.dumps(described)})

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Reads a model file; safe for files of strangers: nothing in it is executed, and names, types and shapes
        of the tensors are checked against the config before any is read.

        Raises:
            ModelError: if it is missing, truncated, of another program, or its tensors do not fit its config.
            NotFinite: the kind of ModelError for weights that fit and are no numbers.
        """
        path = Path(path)
        with opened(path, "pt") as file:
            described = description(path, file.metadata() or {})
            model, options, calibration = _build(path, described)
            expected = model.state_dict()
            small = _compare(path, expected, kinds(file))
            tensors = {name: _tensor(file, name, name in small).to(expected[name].dtype) for name in expected}
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise NotFinite(f"{path}: holds weights that are not finite numbers; train it again")
        model.load_state_dict(tensors, assign=True)
        recipe, scores, origin = (described[part] for part in ("recipe", "scores", "origin"))
        return cls(model.eval(), options, recipe, scores, calibration, bool(small), origin)


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors and metadata to `path` atomically; raises CapcliError where it cannot."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        try:
            save_file(tensors, name, dict(metadata))
            with open(name, "rb") as file:  # noqa: PTH123 - os.fsync needs a descriptor
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, SafetensorError) as error:
        raise CapcliError(f"{path}: cannot be written ({error})") from None


def _build(path: Path, described: dict[str, Any]) -> tuple[CaptioningModel, DecodingOptions, Calibration | None]:
    try:
        words = described["vocabulary"]
        if len(words) > LARGEST_VOCABULARY or not all(isinstance(word, str) for word in words):
            raise ValueError("its vocabulary is no list of words")
        encoder: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in described["encoder"].items()}
        matcher = described.get("matcher")  # most models have none
        config = ModelConfig(
            EncoderConfig(**encoder), dict(described["decoder"]), None if matcher is None else dict(matcher)
        )
        if not 1 <= config.encoder.size <= LARGEST_INPUT:
            raise ValueError(f"input size {config.encoder.size} is out of range")
        for three in (config.encoder.mean, config.encoder.std):
            if len(three) != 3 or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in three):
                raise ValueError(f"{three} is no value for each of red, green and blue")
        if min(config.encoder.std) <= 0:
            raise ValueError("a standard deviation must be above 0")
        # On the meta device a hostile config costs no memory; shapes are compared before anything is allocated.
        with torch.device("meta"):
            model = CaptioningModel(config, Vocabulary(words))
        options, longest = DecodingOptions(**described["decoding"]), decoder_config(config.decoder)[1].max_length
        if options.max_length > longest:
            raise ValueError(f"its decoder cannot say {options.max_length} words")
        if options.rerank and model.matcher is None:
            raise ValueError("it re-ranks captions and has no matcher to do so")
        calibrated = described.get("calibration")  # older files have none
        return model, options, Calibration.from_json(calibrated) if calibrated else None
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, UsageError) as error:
        raise ModelError(f"{path}: its description cannot be used ({error})") from None


def _compare(
    path: Path, expected: Mapping[str, Tensor], present: Mapping[str, tuple[str, tuple[int, ...]]]
) -> set[str]:
    """Names of the weights that are stored as int8; raises ModelError unless all are those of the config."""
    small = {name for name in expected if present.get(name, ("",))[0] == "I8"}
    wanted: dict[str, tuple[tuple[str, ...], tuple[int, ...]]]
    wanted = {name: (_KINDS, tuple(tensor.shape)) for name, tensor in expected.items()}
    for name in small:
        shape = wanted[name][1]
        if len(shape) > 1:
            wanted[name], wanted[name + SCALE] = (("I8",), shape), (("F32",), shape[:1])
    odd = sorted(wanted.keys() ^ present.keys())
    if odd:
        what = "lacks" if odd[0] in wanted else "has an unexpected"
        raise ModelError(f"{path}: its tensors do not fit its config: it {what} {odd[0]!r} ({len(odd)} such)")
    for name, (known, shape) in wanted.items():
        kind, held = present[name]
        if kind not in known:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r} is of type {kind}")
        if held != shape:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r} is {held}, not {shape}")
    return small


def _tensor(file: Any, name: str, small: bool) -> Tensor:
    tensor = file.get_tensor(name)
    return dequantize(tensor, file.get_tensor(name + SCALE)) if small else tensor
