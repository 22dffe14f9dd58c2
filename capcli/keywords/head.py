"""The words that a model tells pictures to have, and how: one layer over its regions, in a file beside the model.

The file of `photos.safetensors` is `photos.keywords`: safetensors, too, with `weight`, float16 W x D, and `bias`,
float32 W, for W words, and `calibration`, float32 K x 2. `benchmarks/keywords.py` fits one to a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from capcli.arrays import Float32Array
from capcli.errors import CapcliError, ModelError, UsageError, system_reason
from capcli.files.atomic import write_atomic
from capcli.modelfile.header import open_model_file
from capcli.modelfile.identity import identify_model
from capcli.modelfile.shipped import find_model, is_repository

FORMAT = "capcli keywords 1"

ENDING = ".keywords"


@dataclass(frozen=True)
class KeywordHead:
    """A linear layer over the mean of a picture's regions, whose scores a calibration turns into probabilities.

    Attributes:
        words: nouns in lower case and the singular, W of them, each once.
        synonyms: other words for some of them.
        weight: float32 W x D.
        bias: float32 W.
        calibration: float32 K x 2, rising: scores, and the probabilities that they stand for, straight lines between.
        floor: words of a lower probability are never given.
        name: of the file.
    """

    words: tuple[str, ...]
    synonyms: Mapping[str, str]
    weight: Float32Array
    bias: Float32Array
    calibration: Float32Array
    floor: float
    name: str

    @classmethod
    def of_model(cls, model: str | Path) -> KeywordHead:
        """Reads the head of a model given by name or by path.

        Raises:
            ModelError: if there is no such model, or the head's file cannot be used.
            UsageError: if the model has no head, or that of another model.
        """
        if is_repository(model):
            raise UsageError(f"{model} knows no keywords; base does")
        file = find_model(model)
        place = file.with_suffix(ENDING)
        if not place.is_file():
            raise UsageError(
                f"{file.stem} knows no keywords; base does, and benchmarks/keywords.py fits {place.name} to a model"
            )
        head, sha256 = _read(place)
        if sha256 != identify_model(file).sha256:
            raise UsageError(
                f"{place} was fitted to another model than {file}; fit it again, or take the model it is of"
            )
        return head

    def save(self, model: str | Path) -> Path:
        """Writes the file beside the model, given by name or by path, and says where; raises CapcliError."""
        file = find_model(model)
        place = file.with_suffix(ENDING)
        described = {"words": self.words, "synonyms": dict(self.synonyms), "floor": self.floor}
        told = {"format": FORMAT, "capcli": json.dumps({**described, "model": identify_model(file).sha256})}
        tensors = {"weight": self.weight.astype(np.float16), "bias": self.bias, "calibration": self.calibration}
        # safetensors writes the bytes as they lie, whatever the strides say.
        content = save({name: np.ascontiguousarray(one) for name, one in tensors.items()}, told)
        try:
            write_atomic(place, content)
        except OSError as error:
            raise CapcliError(f"{place}: cannot be written ({system_reason(error)})") from None
        return place

    def scores(self, pooled: Float32Array) -> Float32Array:
        """B x W from B x D means of regions."""
        found: Float32Array = pooled @ self.weight.T + self.bias
        return found

    def probabilities(self, pooled: Float32Array) -> Float32Array:
        """B x W, 0 to 1, from B x D means of regions."""
        found: Float32Array = np.interp(self.scores(pooled), *self.calibration.T).astype(np.float32)
        return found


def _read(place: Path) -> tuple[KeywordHead, object]:
    """The head in a file, and the SHA-256 of the model that it is of."""
    with open_model_file(place, "numpy") as file:
        told = file.metadata() or {}
        if told.get("format") != FORMAT:
            raise ModelError(f"{place}: no keywords of a model are in it")
        try:
            described: dict[str, Any] = json.loads(told["capcli"])
            words = tuple(map(str, described["words"]))
            weight, bias, knots = (
                file.get_tensor(name).astype(np.float32) for name in ("weight", "bias", "calibration")
            )
            if weight.shape[:-1] != (len(words),) or bias.shape != (len(words),) or knots.shape[1:] != (2,):
                raise ValueError("its tensors do not fit its words")
            if not all(np.isfinite(one).all() for one in (weight, bias, knots)) or (np.diff(knots, axis=0) < 0).any():
                raise ValueError("its weights are not finite numbers, or its calibration falls")
            synonyms = {str(one): str(other) for one, other in described["synonyms"].items()}
            head = KeywordHead(words, synonyms, weight, bias, knots, float(described["floor"]), place.name)
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{place}: cannot be used ({error})") from None
    return head, described.get("model")
