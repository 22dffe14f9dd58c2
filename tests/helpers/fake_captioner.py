"""A captioner without weights, which commands and sessions load in the place of a real one.

`CliRunner().invoke(app, arguments, obj=fake.load)`, `main(fake.load)` and `Session(model, load=fake.load)` hand it in.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from capcli.arrays import Float32Array, UInt8Array
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.keywords.chooser import KeywordChooser
from capcli.model.options import ModelOptions


class FakeCaptioner:
    """Says how bright a picture is, and remembers what it was asked.

    Attributes:
        loaded: what it was asked to be.
        asked: the options of every batch.
        batches: how many pictures were in each.
    """

    name = "fake"
    device = "cpu"
    size = 8
    grid = (8, 8)
    keeps_proportions = False
    matches = False
    notes = ()
    options = DecodingOptions(beam_size=5, max_length=7)

    def __init__(self) -> None:
        self.loaded: list[ModelOptions] = []
        self.asked: list[DecodingOptions] = []
        self.batches: list[int] = []

    def load(self, place: ModelOptions) -> Any:
        self.loaded.append(place)
        return self

    def check(self, options: DecodingOptions) -> None:
        if options.prefix == "unknowable":
            raise UsageError("the model does not know the word 'unknowable'")

    def caption_arrays(
        self, arrays: UInt8Array, options: DecodingOptions, chooser: KeywordChooser | None = None
    ) -> list[SimpleNamespace]:
        self.asked.append(options)
        self.batches.append(len(arrays))
        captions = [self.caption(array, arrays, options) for array in arrays]
        if chooser is not None:
            for caption, keywords in zip(captions, chooser.choose(self.pooled(arrays)), strict=True):
                caption.keywords = keywords
        return captions

    def encode(self, arrays: UInt8Array) -> Float32Array:
        """Its regions, B x 64 x 3: how far each pixel is from grey, so that dark and bright pictures are opposites."""
        return arrays.reshape(len(arrays), -1, 3).astype(np.float32) - 128

    def means(self, regions: Float32Array) -> Float32Array:
        means: Float32Array = regions.mean(1)
        return means

    def decode(self, regions: Float32Array, options: DecodingOptions) -> list[SimpleNamespace]:
        pixels = (regions + 128).astype(np.uint8)
        return self.caption_arrays(pixels.reshape(len(pixels), self.size, self.size, 3), options)

    def pooled(self, arrays: UInt8Array) -> Float32Array:
        """The mean of its regions, B x 2: how bright a picture is, 0 to 1, and how dark."""
        light = arrays.mean((1, 2, 3)) / 255
        return np.stack([light, 1 - light], 1).astype(np.float32)

    def caption(self, array: UInt8Array, together: UInt8Array, options: DecodingOptions) -> SimpleNamespace:
        confidence = self.confidence(array, together)
        return SimpleNamespace(
            text=self.sentence(array),
            confidence=confidence,
            uncertain=confidence < options.min_confidence,
            alternatives=tuple(
                SimpleNamespace(text=f"other {n}", confidence=0.25, words=()) for n in range(1, options.num_captions)
            ),
            keywords=None,
            words=(SimpleNamespace(text="brightness", log_probability=-0.5, sentinel=None),),
        )

    def sentence(self, array: UInt8Array) -> str:
        """What it says of a picture, whatever it is computed with."""
        return f"brightness {array.mean():.0f}"

    def confidence(self, array: UInt8Array, together: UInt8Array) -> float:
        """How sure it is. Like a real one's, the last digits depend on what else is in the batch."""
        return 0.5 + len(together) / 1000

    @property
    def captioned(self) -> int:
        """How many pictures it has captioned."""
        return sum(self.batches)
