"""The words that a model finds in pictures, and how: a small network over its regions, in a file beside the model.

The file of `photos.safetensors` is `photos.keywords`: safetensors, too, with `hidden`, float16 H x D, and
`hidden_bias`, float32 H; `weight`, float16 W x H, and `bias`, float32 W, for W words; and `calibration`, float32 K x 2.
`benchmarks/keywords.py` fits one to a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capcli.arrays import AnyArray, Float32Array
from capcli.errors import UsageError
from capcli.modelfile.beside import read_beside, using, write_beside
from capcli.modelfile.layer import apply_layer
from capcli.modelfile.shipped import find_model, is_repository

FORMAT = "capcli keywords 2"

ENDING = ".keywords"


@dataclass(frozen=True)
class KeywordHead:
    """A network over the mean of a picture's regions, whose scores a calibration turns into probabilities.

    It has one hidden layer of H rectified linear units.

    Attributes:
        words: nouns in lower case and the singular, W of them, each once.
        synonyms: other words for some of them.
        hidden: float32 H x D.
        hidden_bias: float32 H.
        weight: float32 W x H.
        bias: float32 W.
        calibration: float32 K x 2, rising: scores, and the probabilities that they stand for, straight lines between.
        floor: words of a lower probability are never given.
        name: of the file.
    """

    words: tuple[str, ...]
    synonyms: Mapping[str, str]
    hidden: Float32Array
    hidden_bias: Float32Array
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
        described, (hidden, hidden_bias, weight, bias, knots) = read_beside(
            file, ENDING, FORMAT, "keywords", ("hidden", "hidden_bias", "weight", "bias", "calibration")
        )
        with using(place):
            words = tuple(map(str, described["words"]))
            units = hidden_bias.shape
            if weight.shape != (len(words), *units) or bias.shape != (len(words),) or knots.shape[1:] != (2,):
                raise ValueError("its tensors do not fit its words")
            if hidden.shape[:-1] != units or len(units) != 1:
                raise ValueError("its layers do not fit each other")
            if not len(knots) or (np.diff(knots, axis=0) < 0).any():
                raise ValueError("its calibration falls, or there is none")
            synonyms = {str(synonym): str(word) for synonym, word in described["synonyms"].items()}
            return cls(words, synonyms, hidden, hidden_bias, weight, bias, knots, float(described["floor"]), place.name)

    def save(self, model: str | Path) -> Path:
        """Writes the file beside the model, given by name or by path, and says where; raises CapcliError."""
        described = {"words": self.words, "synonyms": dict(self.synonyms), "floor": self.floor}
        tensors: dict[str, AnyArray] = {
            "hidden": self.hidden.astype(np.float16),
            "hidden_bias": self.hidden_bias,
            "weight": self.weight.astype(np.float16),
            "bias": self.bias,
            "calibration": self.calibration,
        }
        return write_beside(find_model(model), ENDING, FORMAT, described, tensors)

    def scores(self, pooled: Float32Array) -> Float32Array:
        """B x W from B x D means of regions."""
        units = np.maximum(apply_layer(pooled, self.hidden, self.hidden_bias), 0)
        return apply_layer(units, self.weight, self.bias)

    def probabilities(self, pooled: Float32Array) -> Float32Array:
        """B x W, 0 to 1, from B x D means of regions."""
        found: Float32Array = np.interp(self.scores(pooled), *self.calibration.T).astype(np.float32)
        return found
