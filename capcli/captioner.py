"""The one object users hold: a model that turns pictures into captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image

from capcli.decoding.beam import beam_search
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.errors import UnreadableImage, UsageError
from capcli.metrics.tokens import detokenize
from capcli.model.checkpoint import Checkpoint
from capcli.model.decoder import decoder_config
from capcli.model.device import bfloat16_pays, choose_device
from capcli.model.shipped import find_model
from capcli.pictures.read import read_picture, to_array, upright_rgb

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
        confidence: geometric mean of the probabilities of the words and the end, 0 to 1.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float

    def __str__(self) -> str:
        return self.text


class Captioner:
    """A loaded model.

    Attributes:
        name: name of the shipped model or of the file, without its ending.
        options: the decoding options chosen for the model on dev.
        device: where it computes.
        size: side of the model's square input in pixels.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, device: torch.device) -> None:
        self.name = name
        self.options = checkpoint.options
        self.device = device
        # In bfloat16 the encoder is several times as fast where the processor has it; log-probabilities stay float32.
        dtype = torch.bfloat16 if bfloat16_pays(device) else torch.float32
        model = checkpoint.model.eval().requires_grad_(False)
        self._encoder = model.encoder.to(device, dtype).to(memory_format=torch.channels_last)
        self._decoder = model.decoder.to(device)
        self._vocabulary = model.vocabulary
        self._longest: int = decoder_config(model.config.decoder)[1].max_length
        self.size = model.encoder.config.size

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
    def caption(self, images: Sequence[Picture], **options: Any) -> list[Caption]: ...
    def caption(self, images: Picture | Sequence[Picture], **options: Any) -> Caption | list[Caption]:
        """Captions one picture, or a list of them in batches.

        Args:
            images: path, PIL image or array; an array is H x W x 3 RGB or H x W gray, uint8 or float from 0 to 1.
            **options: fields of `DecodingOptions` that take the place of the model's own.

        Returns:
            A caption for one picture, a list of captions for a list.

        Raises:
            UnreadableImage: for the first picture that cannot be read.
            UsageError: for an option out of range.
        """
        chosen = replace(self.options, **options)
        if isinstance(images, (str, Path, Image.Image, np.ndarray)):
            return self.caption_arrays(np.stack([self._array(images)]), chosen)[0]
        captions: list[Caption] = []
        for start in range(0, len(images), BATCH):
            batch = np.stack([self._array(image) for image in images[start : start + BATCH]])
            captions += self.caption_arrays(batch, chosen)
        return captions

    def caption_arrays(self, arrays: np.ndarray, options: DecodingOptions | None = None) -> list[Caption]:
        """Captions a batch of prepared pictures: uint8 B x S x S x 3, S being `size`; raises as `decode` does."""
        return self.decode(self.encode(arrays), options)

    def encode(self, arrays: np.ndarray) -> torch.Tensor:
        """Regions B x R x D, float32 on the captioner's device, of uint8 B x S x S x 3 pictures."""
        with torch.inference_mode():
            return self._encoder(torch.from_numpy(arrays).to(self.device)).float()

    def decode(self, regions: torch.Tensor, options: DecodingOptions | None = None) -> list[Caption]:
        """The best caption for each of B x R x D regions.

        Raises:
            UsageError: if `max_length` is longer than the decoder can say.
        """
        chosen = options or self.options
        if chosen.max_length > self._longest:
            raise UsageError(f"max-length must be at most {self._longest} with this model, not {chosen.max_length}")
        with torch.inference_mode():
            found = beam_search(self._decoder, regions, chosen)
        return [self._caption(best[0]) for best in found]

    def _array(self, image: Picture) -> np.ndarray:
        if isinstance(image, np.ndarray):
            image = _from_array(image)
        if isinstance(image, Image.Image):
            try:
                return to_array(upright_rgb(image), self.size)
            except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
                name = getattr(image, "filename", "") or "image"
                raise UnreadableImage(name, f"is damaged ({error})") from None
        return to_array(read_picture(image, at_least=self.size), self.size)

    def _caption(self, hypothesis: Hypothesis) -> Caption:
        tokens = [self._vocabulary.words[index] for index in hypothesis.tokens]
        attention: Sequence[np.ndarray | None] = [None] * len(tokens)
        if hypothesis.attention is not None:
            attention = list(hypothesis.attention.reshape(-1, *self._encoder.grid).float().numpy())
        words = map(Word, tokens, hypothesis.log_probabilities, attention)
        end = hypothesis.end_log_probability
        logs = [*hypothesis.log_probabilities, *([] if end is None else [end])]
        return Caption(detokenize(tokens), tuple(words), math.exp(sum(logs) / len(logs)))


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
