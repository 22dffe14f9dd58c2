"""The one object users hold: a model that turns pictures into captions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image

from capcli.decoding.decode import decode
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.errors import CapcliError, UnreadableImage, UsageError
from capcli.metrics.tokens import detokenize
from capcli.model.checkpoint import Checkpoint
from capcli.model.decoder import decoder_config
from capcli.model.device import bfloat16_pays, choose_device
from capcli.model.shipped import find_model
from capcli.pictures.read import read_array, to_array, upright_rgb

BATCH = 16
"""Pictures that are captioned at once where nothing else is asked for."""

Picture = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class Word:
    """One word of a caption.

    Attributes:
        text: the word, in lower case; "'s" and the like are words of their own.
        log_probability: natural logarithm of its probability given the picture and the words before it.
        attention: rows x columns weights over the picture that sum to 1, or None for a model without attention.
    """

    text: str
    log_probability: float
    attention: np.ndarray | None


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture.

    Attributes:
        text: the sentence.
        words: its words with their log-probabilities and attention.
        confidence: how likely the caption is good, 0 to 1, by the model's `Calibration`; of a model without one, the
            geometric mean of the probabilities of the words after the prefix and of the end.
        alternatives: the other captions of the picture where `num_captions` asks for several, best first; they
            have none themselves.
        uncertain: whether the confidence is below `min_confidence`.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    alternatives: tuple[Caption, ...] = ()
    uncertain: bool = False

    def __str__(self) -> str:
        return self.text


class Captioner:
    """A loaded model.

    Attributes:
        name: name of the shipped model or of the file, without its ending.
        options: the decoding options chosen for the model on dev.
        device: where it computes.
        size: side of the model's square input in pixels.
        calibration: of the confidence, on the pictures that the model was chosen on; None where it has none.
        fits: the most pictures that fit into memory at once; None as long as every batch did.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, device: torch.device) -> None:
        self.name = name
        self.options = checkpoint.options
        self.calibration = checkpoint.calibration
        self.device = device
        # In bfloat16 the encoder is several times as fast where the processor has it; log-probabilities stay float32.
        dtype = torch.bfloat16 if bfloat16_pays(device) else torch.float32
        model = checkpoint.model.eval().requires_grad_(False)
        self._encoder = model.encoder.to(device, dtype).to(memory_format=torch.channels_last)
        self._decoder = model.decoder.to(device)
        self._vocabulary = model.vocabulary
        self._longest: int = decoder_config(model.config.decoder)[1].max_length
        self.size = model.encoder.config.size
        self.fits: int | None = None

    @classmethod
    def load(cls, model: str | Path = "base", device: str = "auto") -> Captioner:
        """Loads a model.

        Args:
            model: name of a shipped model or path of a model file.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

        Raises:
            ModelError: if there is no such model, or its file cannot be used.
            UsageError: if the device is not there.
        """
        place = choose_device(device)
        file = find_model(model)
        return cls(Checkpoint.load(file), file.stem, place)

    @overload
    def caption(self, images: Picture, **options: Any) -> Caption: ...
    @overload
    def caption(self, images: Iterable[Picture], **options: Any) -> list[Caption]: ...
    def caption(self, images: Picture | Iterable[Picture], **options: Any) -> Caption | list[Caption]:
        """Captions one picture, or a list of them in batches.

        Args:
            images: path, PIL image or array; an array is H x W x 3 RGB or H x W gray, uint8 or float from 0 to 1.
            **options: fields of `DecodingOptions` that take the place of the model's own.

        Returns:
            A caption for one picture, a list of captions for a list.

        Raises:
            UnreadableImage: for the first picture that cannot be read.
            UsageError: for something that is no picture; for an option that is unknown, out of range or beyond the
                model.
            CapcliError: if not even one picture fits into memory.
        """
        chosen = self.options.replace(**options)
        self.check(chosen)
        if isinstance(images, (str, Path, Image.Image, np.ndarray)):
            return self.caption_arrays(np.stack([self._array(images)]), chosen)[0]
        if isinstance(images, (bytes, bytearray, memoryview)) or not isinstance(images, Iterable):
            raise UsageError(f"pictures are paths, PIL images, arrays or lists of them, not {type(images).__name__}")
        waiting, captions = iter(images), list[Caption]()
        while batch := [self._array(image) for image in islice(waiting, BATCH)]:
            captions += self.caption_arrays(np.stack(batch), chosen)
        return captions

    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for options that the model cannot follow: a caption longer than its decoder can say, or
        a prefix of words it does not know.
        """
        if options.max_length > self._longest:
            raise UsageError(f"max-length must be at most {self._longest} with this model, not {options.max_length}")
        encode_prefix(options, self._vocabulary)

    def caption_arrays(self, arrays: np.ndarray, options: DecodingOptions | None = None) -> list[Caption]:
        """Captions a batch of prepared pictures.

        A batch that does not fit into memory is halved until it does, and no larger one is tried again. What is
        sampled for a picture depends on its pixels and `options.seed`, not on the rest of the batch.

        Args:
            arrays: uint8 B x S x S x 3, S being `size`.
            options: in place of the model's own.

        Raises:
            UsageError: as `check` does.
            CapcliError: if not even one picture fits into memory.
        """
        chosen = options or self.options
        self.check(chosen)
        captions: list[Caption] = []
        while len(captions) < len(arrays):
            batch = arrays[len(captions) :][: self.fits]
            seeds = [_seed(array, chosen.seed) for array in batch] if chosen.sample else None
            try:
                captions += self.decode(self.encode(batch), chosen, seeds)
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise CapcliError(
                        "not enough memory to caption even one picture; close other programs, take a smaller beam "
                        "or another device"
                    ) from None
                self.fits = len(batch) // 2
        return captions

    def encode(self, arrays: np.ndarray) -> torch.Tensor:
        """Regions B x R x D, float32 on the captioner's device, of uint8 B x S x S x 3 pictures."""
        with torch.inference_mode():
            return self._encoder(torch.from_numpy(arrays).to(self.device)).float()

    def decode(
        self, regions: torch.Tensor, options: DecodingOptions | None = None, seeds: Sequence[int] | None = None
    ) -> list[Caption]:
        """The best caption for each of B x R x D regions, with its alternatives.

        Args:
            regions: as `encode` gives them.
            options: in place of the model's own.
            seeds: one for each picture that is sampled, by default `options.seed` for all of them.

        Raises:
            UsageError: as `check` does.
        """
        chosen = options or self.options
        self.check(chosen)
        prefix = encode_prefix(chosen, self._vocabulary)
        with torch.inference_mode():
            found = decode(self._decoder, regions, chosen, prefix=prefix, seeds=seeds)
        captions = ([self._caption(one, len(prefix), chosen) for one in hypotheses] for hypotheses in found)
        return [replace(best, alternatives=tuple(others)) for best, *others in captions]

    def _array(self, image: Picture) -> np.ndarray:
        if isinstance(image, np.ndarray):
            image = _from_array(image)
        if not isinstance(image, (str, Path, Image.Image)):
            raise UsageError(f"a picture is a path, a PIL image or an array, not {type(image).__name__}")
        if isinstance(image, Image.Image):
            try:
                return to_array(upright_rgb(image), self.size)
            except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
                name = getattr(image, "filename", "") or "image"
                raise UnreadableImage(name, f"is damaged ({error})") from None
        return read_array(image, self.size)

    def _caption(self, hypothesis: Hypothesis, given: int, options: DecodingOptions) -> Caption:
        tokens = [self._vocabulary.words[index] for index in hypothesis.tokens]
        attention: Sequence[np.ndarray | None] = [None] * len(tokens)
        if hypothesis.attention is not None:
            attention = list(hypothesis.attention.reshape(-1, *self._encoder.grid).float().numpy())
        words = tuple(map(Word, tokens, hypothesis.log_probabilities, attention))
        confidence = _mean_probability(hypothesis, given)
        if self.calibration is not None:
            confidence = self.calibration(confidence)
        return Caption(detokenize(tokens), words, confidence, uncertain=confidence < options.min_confidence)


def _mean_probability(hypothesis: Hypothesis, given: int) -> float:
    """Geometric mean of the probabilities of the words after the `given` first ones and of the end, if there is one;
    1 where nothing was left to the model.
    """
    end = hypothesis.end_log_probability
    logs = [*hypothesis.log_probabilities[given:], *([] if end is None else [end])]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def _seed(array: np.ndarray, seed: int) -> int:
    """A number that a picture has anywhere and in any batch."""
    return int.from_bytes(hashlib.blake2b(f"{seed} ".encode() + array.tobytes(), digest_size=8).digest(), "big")


def _out_of_memory(error: Exception) -> bool:
    # On the CPU and on Apple's devices torch has no type for it, only these words.
    told = str(error).lower()
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        words in told for words in ("out of memory", "defaultcpuallocator", "alloc_failed")
    )


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise UnreadableImage("array", f"has shape {array.shape}, not height x width (x 3)")
    if array.dtype.kind == "f":
        array = (np.nan_to_num(array).clip(0, 1) * 255).round()
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype != np.uint8:
        raise UnreadableImage("array", f"has values of type {array.dtype}, not uint8 or float from 0 to 1")
    return Image.fromarray(array.astype(np.uint8))
