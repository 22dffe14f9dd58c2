"""What a captioner asks of whatever computes its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from capcli.arrays import Float32Array, UInt8Array
from capcli.decoding.forced import Forced
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.speaker import Speaker

Regions = Any
"""Those of B pictures, as the engine holds them: only its own methods look into them, and `len` is B."""


class Engine(Protocol):
    """A loaded model.

    Attributes:
        name: `onnx` or `torch`.
        device: where it computes, as torch spells it.
        precision: "bfloat16" or "float32", the encoder's and the decoder's.
        size: side of the model's square input in pixels.
        grid: rows and columns of the regions, R = rows * columns.
        box: as `Word.box`.
        heads: layers and heads whose attention the decoder gives, (0, 0) for one without.
        longest: the longest caption in words.
        matches: whether the model has a matcher.
        reads: whether a language model has a say.
    """

    name: str
    device: str
    precision: tuple[str, str]
    size: int
    grid: tuple[int, int]
    box: tuple[float, float, float, float]
    heads: tuple[int, int]
    longest: int
    matches: bool
    reads: bool

    @property
    def speaker(self) -> Speaker[Any, Any]:
        """The decoder as a search asks it."""
        ...

    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for captions longer than the language model can read, if it is to read them."""
        ...

    def encode(self, arrays: UInt8Array) -> Regions:
        """Regions of uint8 B x S x S x 3 pictures."""
        ...

    def means(self, regions: Regions) -> Float32Array:
        """The mean of each picture's regions, B x D."""
        ...

    def picture_vectors(self, regions: Regions) -> Float32Array:
        """The matcher's unit vectors of pictures, B x E."""
        ...

    def sentence_vectors(self, sentences: Sequence[Sequence[int]]) -> Float32Array:
        """The matcher's unit vectors, N x E, of N lists of word indices."""
        ...

    def start(self, regions: Regions) -> object:
        """The decoder's state before the first word, which `decode` and `trace` take."""
        ...

    def decode(
        self,
        regions: Regions,
        options: DecodingOptions,
        *,
        prefix: Sequence[int] = (),
        seeds: Sequence[int] | None = None,
        state: Any = None,
        expected: Float32Array | None = None,
    ) -> list[list[Hypothesis]]:
        """Captions of pictures, as `capcli.decoding.decode.decode` gives them."""
        ...

    def trace(
        self,
        regions: Regions,
        captions: Sequence[Sequence[int]],
        *,
        gradients: bool = False,
        own: bool = False,
        state: Any = None,
    ) -> list[Forced]:
        """Feeds given captions, one for each picture, as `capcli.decoding.teacher_forcing.teacher_force` does.

        Args:
            regions: of the pictures.
            captions: lists of word indices.
            gradients: compute the relevance too, for a decoder with attention.
            own: the captions are the model's own, so their probabilities are known and may have fewer digits here.
            state: as `start` gives it.
        """
        ...
