"""One safetensors file is a whole model: weights, and in its metadata everything else, as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, ModelError
from capcli.files.atomic import write_atomic
from capcli.model.decoders.registry import decoder_config
from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.model.shapes import shapes_only
from capcli.modelfile.confidence import Calibration
from capcli.modelfile.fitting import check_fit
from capcli.modelfile.header import FORMAT, KEPT, SCALE, Header, open_model_file, read_description, tensor_types
from capcli.modelfile.layers import layer_weights
from capcli.modelfile.manner import Manner, describing
from capcli.modelfile.pruning import pack, unpack
from capcli.modelfile.quantization import dequantize, quantize
from capcli.modelfile.weights import NotFinite
from capcli.options import build


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
        pruned: whether the file leaves out the zeros among the weights of the layers. Loaded they are there again, and
            training leaves them zero.
        origin: of a model that was made smaller, what it was made of and how: `model`, `sha256`, `method`, `scores`,
            which are the original's, and if it was fine-tuned `fine_tuning`, of `recipe` and `data`. Empty for others.
        held_out: the share of a data set without a dev split, chosen by a hash of its pictures' names, that neither the
            training of this model saw nor that of the one it went on from.
    """

    model: CaptioningModel
    options: DecodingOptions
    recipe: Mapping[str, object] = dataclasses.field(default_factory=dict)
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    quantized: bool = False
    pruned: bool = False
    origin: Mapping[str, object] = dataclasses.field(default_factory=dict)
    held_out: float = 0.0

    @property
    def manner(self) -> Manner:
        """How the model speaks."""
        return Manner(self.model.vocabulary, self.options, self.calibration)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Writes the file atomically: a crash or a full disk leaves the old one whole.

        Args:
            path: where to; its folder exists.
            dtype: storage of the weights, but for those that are int8.

        Raises:
            CapcliError: if the file cannot be written.
        """
        tensors, left_out = self._stored(dtype)
        described = {
            **self.model.config.to_json(),
            "vocabulary": list(self.model.vocabulary.words),
            "decoding": dataclasses.asdict(self.options),
            "recipe": self.recipe,
            "scores": self.scores,
            "calibration": self.calibration and self.calibration.to_json(),
            "held_out": self.held_out,
            **({"origin": self.origin} if self.origin else {}),
            **({"left_out": left_out} if self.pruned else {}),
        }
        write_safetensors(Path(path), tensors, {"format": FORMAT, "capcli": json.dumps(described)})

    def _stored(self, dtype: torch.dtype) -> tuple[dict[str, Tensor], int]:
        """The tensors of the file, and how many zeros are not among them."""
        tensors, left_out = dict[str, Tensor](), 0
        layers = layer_weights(self.model)
        for name, value in self.model.state_dict().items():
            stored = value.to(dtype)
            if self.quantized and name in layers:
                stored, tensors[name + SCALE] = quantize(value)
            if self.pruned and name in layers and not value.all():
                stored, tensors[name + KEPT] = pack(stored, value != 0)
                left_out += value.numel() - stored.numel()
            tensors[name] = stored.contiguous()
        return tensors, left_out

    @classmethod
    def load(cls, path: str | Path) -> Checkpoint:
        """Reads a model file; safe for files of strangers: nothing in it is executed, and names, types and shapes
        of the tensors are checked against the config before any is read.

        Raises:
            ModelError: if it is missing, truncated, of another program, or its tensors do not fit its config.
            NotFinite: the kind of ModelError for weights that fit and are no numbers.
        """
        path = Path(path)
        with open_model_file(path, "pt") as file:
            described = read_description(path, file.metadata() or {})
            model, manner = _build(path, described)
            expected = model.state_dict()
            present = tensor_types(file)
            check_fit(path, {name: tuple(like.shape) for name, like in expected.items()}, present, described)
            tensors = {name: _tensor(path, file, name, like.shape, present) for name, like in expected.items()}
            tensors = {name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()}
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise NotFinite(f"{path}: holds weights that are not finite numbers; train it again")
        model.load_state_dict(tensors, assign=True)
        recipe, scores, origin = (described[part] for part in ("recipe", "scores", "origin"))
        quantized, pruned = (any(name + part in present for name in expected) for part in (SCALE, KEPT))
        held_out = Header(described, present).held_out
        return cls(
            model.eval(), manner.options, recipe, scores, manner.calibration, quantized, pruned, origin, held_out
        )


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors and metadata to `path` atomically; raises CapcliError where it cannot."""
    try:
        write_atomic(path, save(tensors, dict(metadata)))
    except OSError as error:
        raise CapcliError(f"{path}: cannot be written ({error})") from None


def _build(path: Path, described: dict[str, Any]) -> tuple[CaptioningModel, Manner]:
    with describing(path):
        manner = Manner.read(described)
        encoder = build(EncoderConfig, described["encoder"], "encoder")
        matcher = described.get("matcher")  # most models have none
        config = ModelConfig(encoder, dict(described["decoder"]), None if matcher is None else dict(matcher))
        # On the meta device a hostile config costs no memory; shapes are compared before anything is allocated.
        with shapes_only():
            model = CaptioningModel(config, manner.vocabulary)
        manner.check(decoder_config(config.decoder)[1].max_length, matches=model.matcher is not None)
        return model, manner


def _tensor(path: Path, file: Any, name: str, shape: tuple[int, ...], present: Mapping[str, object]) -> Tensor:
    """The weight of a name in an open file, whole and as floats."""
    tensor: Tensor = file.get_tensor(name)
    if name + KEPT in present:
        try:
            tensor = unpack(tensor, file.get_tensor(name + KEPT), shape)
        except ValueError as error:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r}: {error}") from None
    return dequantize(tensor, file.get_tensor(name + SCALE)) if name + SCALE in present else tensor
