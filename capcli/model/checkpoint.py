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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, ModelError, UsageError
from capcli.model.calibration import Calibration
from capcli.model.captioning import CaptioningModel, ModelConfig
from capcli.model.decoder import decoder_config
from capcli.model.encoder import LARGEST_INPUT, EncoderConfig
from capcli.model.vocabulary import Vocabulary

FORMAT = "capcli 1"
LARGEST_VOCABULARY = 1_000_000


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Attributes:
        model: the model, on the CPU, in float32 and evaluation mode.
        options: the decoding options chosen for it on dev.
        recipe: the recipe that trained it, as plain values.
        scores: figures it was measured at, by data set and metric.
        calibration: of its confidence, or None where it was not calibrated.
    """

    model: CaptioningModel
    options: DecodingOptions
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Writes the file atomically: a crash or a full disk leaves the old one whole.

        Args:
            path: where to; its folder exists.
            dtype: storage of floating-point weights.

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
        }
        tensors = {name: value.to(dtype).contiguous() for name, value in self.model.state_dict().items()}
        write_safetensors(Path(path), tensors, {"format": FORMAT, "capcli": json.dumps(described)})

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Reads a model file; safe for files of strangers: nothing in it is executed, and names, types and shapes
        of the tensors are checked against the config before any is read.

        Raises:
            ModelError: if it is missing, truncated, of another program, or its tensors do not fit its config.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path}: no such model file")
        try:
            with safe_open(path, framework="pt") as file:
                described = _description(path, file.metadata() or {})
                model, options, calibration = _build(path, described)
                expected = model.state_dict()
                _compare(path, expected, file)
                tensors = {name: file.get_tensor(name).to(expected[name].dtype) for name in expected}
        except (SafetensorError, OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: not a whole safetensors file ({error}); download or copy it again") from None
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ModelError(f"{path}: holds weights that are not finite numbers; train it again")
        model.load_state_dict(tensors, assign=True)
        return cls(model.eval(), options, described.get("recipe", {}), described.get("scores", {}), calibration)


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


def _description(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path}: not a capcli model; `capcli train` makes them, and 'base' is the one that ships")
    try:
        described = json.loads(metadata["capcli"])
        if not isinstance(described, dict):
            raise TypeError("no JSON object")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: its description is broken ({error})") from None
    return described


def _build(path: Path, described: dict[str, Any]) -> tuple[CaptioningModel, DecodingOptions, Calibration | None]:
    try:
        words = described["vocabulary"]
        if len(words) > LARGEST_VOCABULARY or not all(isinstance(word, str) for word in words):
            raise ValueError("its vocabulary is no list of words")
        encoder: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in described["encoder"].items()}
        config = ModelConfig(EncoderConfig(**encoder), dict(described["decoder"]))
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
        calibrated = described.get("calibration")  # older files have none
        return model, options, Calibration.from_json(calibrated) if calibrated else None
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, UsageError) as error:
        raise ModelError(f"{path}: its description cannot be used ({error})") from None


def _compare(path: Path, expected: Mapping[str, Tensor], file: Any) -> None:
    present = set(file.keys())
    odd = sorted(expected.keys() ^ present)
    if odd:
        what = "lacks" if odd[0] in expected else "has an unexpected"
        raise ModelError(f"{path}: its tensors do not fit its config: it {what} {odd[0]!r} ({len(odd)} such)")
    for name, tensor in expected.items():
        stored = file.get_slice(name)
        if stored.get_dtype() not in ("F16", "BF16", "F32"):
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r} is of type {stored.get_dtype()}")
        shape = tuple(stored.get_shape())
        if shape != tuple(tensor.shape):
            raise ModelError(
                f"{path}: its tensors do not fit its config: {name!r} is {shape}, not {tuple(tensor.shape)}"
            )
