"""The words that a model expects in captions of a picture, from one layer over the mean of its regions.

The file of `photos.safetensors` is `photos.words`: safetensors, too, with `weight`, int8 W x D, and its `scale`, `bias`
and `even`, float32 W, for W of the model's words, and `calibration`, float32 K x 2. `benchmarks/expected_words.py` fits
one to a model. It may also have `confidence`, float32 D, by which `benchmarks/calibration.py` fits the confidence of
captions that were chosen with those words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capcli.arrays import AnyArray, Float32Array
from capcli.errors import ModelError
from capcli.modelfile.beside import read_beside, using, write_beside
from capcli.modelfile.confidence import Calibration, PictureCalibration
from capcli.modelfile.header import open_model_file
from capcli.modelfile.layer import apply_layer
from capcli.modelfile.target import WORDS
from capcli.words.vocabulary import SPECIALS, Vocabulary

FORMAT = "capcli words 1"

_CONFIDENCE = "confidence"

_MOST = 127
"""The largest int8 that is used, so that the smallest is its opposite."""


@dataclass(frozen=True)
class ExpectedWords:
    """A linear layer over the mean of a picture's regions, whose scores a calibration turns into probabilities.

    Attributes:
        words: of the model, W of them, each once.
        weight: float32 W x D.
        bias: float32 W.
        calibration: float32 K x 2, rising: scores, and the probabilities that they stand for, straight lines between.
        even: float32 W, the probabilities, above 0 and at most 1, at which words are neither favoured nor disfavoured.
        floor: the part of that, above 0 and at most 1, which every less likely word is taken to have.
        share: the `word_weight` of searches where nothing else is asked for.
        confidence: of captions that were chosen with them, None where the model's own is to do.
    """

    words: tuple[str, ...]
    weight: Float32Array
    bias: Float32Array
    calibration: Float32Array
    even: Float32Array
    floor: float
    share: float
    confidence: PictureCalibration | None = None

    @classmethod
    def of_model(cls, file: Path) -> ExpectedWords | None:
        """Those of the model of a file, None where it has none.

        Raises:
            ModelError: if they cannot be used.
            UsageError: if they are another model's.
        """
        place = file.with_suffix(WORDS)
        if not place.is_file():
            return None
        names = ("weight", "scale", "bias", "even", "calibration")
        described, tensors = read_beside(file, WORDS, FORMAT, "words", names, optional=_CONFIDENCE)
        weight, scale, bias, even, knots, *layers = tensors
        with using(place):
            words = tuple(map(str, described["words"]))
            floor, share = (float(described[name]) for name in ("floor", "share"))
            shapes = (weight.shape[:-1], scale.shape, bias.shape, even.shape)
            if set(shapes) != {(len(words),)} or knots.shape[1:] != (2,) or len(set(words)) < len(words):
                raise ValueError("its tensors do not fit its words")
            if set(SPECIALS).intersection(words):
                raise ValueError("a special token is among its words")
            if not len(knots) or (np.diff(knots, axis=0) < 0).any():
                raise ValueError("its calibration falls, or there is none")
            if not (0 < floor <= 1 and 0 <= share <= 100 and (even > 0).all() and (even <= 1).all()):
                raise ValueError("its probabilities are none")
            if any(layer.shape != weight.shape[1:] for layer in layers):
                raise ValueError("its confidence does not fit its words")
            found = [PictureCalibration(Calibration.from_json(described[_CONFIDENCE]), layer) for layer in layers]
            return cls(words, weight * scale[:, None], bias, knots, even, floor, share, found[0] if found else None)

    @classmethod
    def share_of(cls, file: Path) -> float:
        """The `share` of those of the model of a file, which has some, by the file's header alone.

        Raises:
            ModelError: if they cannot be used.
        """
        place = file.with_suffix(WORDS)
        with open_model_file(place, "numpy") as held, using(place):
            return float(json.loads((held.metadata() or {})["capcli"])["share"])

    def save(self, file: Path) -> Path:
        """Writes them beside the file of a model and says where; raises CapcliError."""
        scale = np.abs(self.weight).max(1) / _MOST + np.finfo(np.float32).tiny
        described: dict[str, object] = {"words": self.words, "floor": self.floor, "share": self.share}
        tensors: dict[str, AnyArray] = {
            "weight": np.round(self.weight / scale[:, None]).astype(np.int8),
            "scale": scale.astype(np.float32),
            "bias": self.bias,
            "even": self.even,
            "calibration": self.calibration,
        }
        if self.confidence is not None:
            described[_CONFIDENCE] = self.confidence.calibration.to_json()
            tensors[_CONFIDENCE] = self.confidence.weight
        return write_beside(file, WORDS, FORMAT, described, tensors)

    def probabilities(self, pooled: Float32Array) -> Float32Array:
        """B x W, 0 to 1, from B x D means of regions: that one of five people uses the word."""
        scores = apply_layer(pooled, self.weight, self.bias)
        found: Float32Array = np.interp(scores, *self.calibration.T).astype(np.float32)
        return found

    def expect(self, pooled: Float32Array, vocabulary: Vocabulary) -> Float32Array:
        """B x V as `capcli.decoding.expectation.Expectation` takes it, from B x D means of regions.

        Raises:
            ModelError: if regions have another width than the words were fitted to.
        """
        if pooled.shape[1] != self.weight.shape[1]:
            widths = f"{self.weight.shape[1]:,} numbers, and this model's have {pooled.shape[1]:,}"
            raise ModelError(f"the expected words beside the model are of regions of {widths}; fit them again")
        expected = np.zeros((len(pooled), len(vocabulary)), np.float32)
        ratio = np.maximum(self.probabilities(pooled) / self.even, self.floor)
        expected[:, vocabulary.encode(self.words)] = np.log(ratio)
        return expected
