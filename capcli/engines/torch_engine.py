"""A model computed by torch, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from capcli.arrays import Float32Array, UInt8Array
from capcli.decoding.decode import decode
from capcli.decoding.forced import Forced
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.language import LanguageModel
from capcli.decoding.options import DecodingOptions
from capcli.decoding.teacher_forcing import teacher_force
from capcli.decoding.torch_speaker import TorchSpeaker, array
from capcli.model.decoders.registry import decoder_config
from capcli.model.device import bfloat16_pays
from capcli.model.matcher import Matcher
from capcli.modelfile.checkpoint import Checkpoint


class TorchEngine:
    """An `Engine`, whose regions are tensors B x R x D.

    Args:
        checkpoint: the model; its weights become this engine's.
        device: where to compute.
        language: a language model beside it.
        exact: compute in float32, even where bfloat16 is faster.
    """

    name = "torch"

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, language: Checkpoint | None = None, *, exact: bool = False
    ) -> None:
        # In bfloat16 the encoder is several times as fast where the processor has it; log-probabilities stay float32.
        self._dtype = torch.bfloat16 if bfloat16_pays(device) and not exact else torch.float32
        # Only float32 tells words apart that are nearly as likely; int8 weights, of seven bits, have given that up, and
        # for them the decoder is twice as fast in bfloat16, of eight.
        self._decoder_dtype = self._dtype if checkpoint.quantized else torch.float32
        self.precision = (str(self._dtype).removeprefix("torch."), str(self._decoder_dtype).removeprefix("torch."))
        model = checkpoint.model.eval().requires_grad_(False)
        self._language = None if language is None else LanguageModel.of(language.model, model.vocabulary, device)
        self._encoder = model.encoder.to(device, self._dtype).to(memory_format=torch.channels_last)
        self._decoder = model.decoder.to(device, self._decoder_dtype)
        self.speaker = TorchSpeaker(self._decoder)
        self._matcher = None if model.matcher is None else model.matcher.to(device)
        self._device, self.device = device, str(device)
        self.size = model.encoder.config.size
        self.grid, self.box = model.encoder.grid, model.encoder.box
        self.heads = model.decoder.heads
        self.longest: int = decoder_config(model.config.decoder)[1].max_length
        self.matches, self.reads = self._matcher is not None, self._language is not None

    def check(self, options: DecodingOptions) -> None:
        if self._language is not None:
            self._language.check(options)

    def encode(self, arrays: UInt8Array) -> Tensor:
        with torch.inference_mode():
            regions: Tensor = self._encoder(torch.from_numpy(arrays).to(self._device))
            return regions.to(self._decoder_dtype)

    def means(self, regions: Tensor) -> Float32Array:
        return array(regions.float().mean(1))

    def picture_vectors(self, regions: Tensor) -> Float32Array:
        with torch.inference_mode():
            return array(self._matching.pictures(regions.float()))

    def sentence_vectors(self, sentences: Sequence[Sequence[int]]) -> Float32Array:
        with torch.inference_mode():
            return array(self._matching.embed(sentences))

    @property
    def _matching(self) -> Matcher:
        assert self._matcher is not None, "the captioner asks a model that matches"
        return self._matcher

    def start(self, regions: Tensor) -> object:
        with torch.no_grad():  # inference mode would leave no gradients
            state: object = self._decoder.start(regions)
            return state

    def decode(
        self,
        regions: Tensor,
        options: DecodingOptions,
        *,
        prefix: Sequence[int] = (),
        seeds: Sequence[int] | None = None,
        state: Any = None,
        expected: Float32Array | None = None,
    ) -> list[list[Hypothesis]]:
        with torch.inference_mode():
            return decode(
                self._decoder,
                regions,
                options,
                prefix=prefix,
                seeds=seeds,
                state=state,
                language=self._language,
                matcher=self._matcher,
                expected=expected,
            )

    def trace(
        self,
        regions: Tensor,
        captions: Sequence[Sequence[int]],
        *,
        gradients: bool = False,
        own: bool = False,
        state: Any = None,
    ) -> list[Forced]:
        # Maps need no more digits than bfloat16 has.
        quick = own and gradients and self._dtype is not self._decoder_dtype
        with torch.autocast(self._device.type, torch.bfloat16, enabled=quick):
            return teacher_force(self._decoder, regions, captions, gradients=gradients, state=state)
