"""A language model beside a captioner's decoder: what it thinks of words, and of whole captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from capcli.arrays import Float32Array, IntArray
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.teacher_forcing import teacher_force
from capcli.decoding.torch_speaker import TorchSpeaker
from capcli.errors import UsageError
from capcli.model.decoders.registry import decoder_config
from capcli.model.network import CaptioningModel
from capcli.words.vocabulary import Vocabulary


@dataclass(frozen=True)
class LanguageModel:
    """A model that sees nothing, asked in a captioner's words.

    A word that it does not know is `<unknown>` to it, said and read. Each such word has that whole probability, so
    those of all words may sum to more than 1.

    Attributes:
        model: in evaluation mode.
        words: of each of the captioner's V words the index of the same word in the model's vocabulary.
        device: where it computes.
    """

    model: CaptioningModel
    words: IntArray
    device: torch.device

    @classmethod
    def of(cls, model: CaptioningModel, vocabulary: Vocabulary, device: torch.device) -> LanguageModel:
        """The model on a device, for a captioner of that vocabulary; raises UsageError if it sees pictures."""
        if model.config.encoder.sees:
            raise UsageError("that is no language model but sees pictures; `capcli train language-model` makes one")
        words = np.array(model.vocabulary.encode(vocabulary.words))
        return cls(model.eval().requires_grad_(False).to(device), words, device)

    def check(self, options: DecodingOptions) -> None:
        """Raises UsageError for captions longer than it can read, if it is to read them."""
        longest = decoder_config(self.model.config.decoder)[1].max_length
        if options.max_length > longest and (options.lm_weight or options.lm_rescore):
            asked = options.max_length
            raise UsageError(f"max-length must be at most {longest} with this language model, not {asked}")

    def start(self, count: int) -> object:
        """State before the first word of `count` captions."""
        return self._speaker.start(self._regions(count))

    def step(self, tokens: IntArray, state: object) -> tuple[Float32Array, object]:
        """Feeds N words of the captioner's and predicts the next, N x V log-probabilities; and the new state."""
        log_probabilities, _, state = self._speaker.step(self.words[tokens], state)
        return log_probabilities[:, self.words], state

    def reorder(self, state: object, index: IntArray) -> object:
        """As `Speaker.reorder`."""
        return self._speaker.reorder(state, index)

    def scores(self, hypotheses: Sequence[Hypothesis], length_penalty: float) -> list[float]:
        """The log-probability of each caption, its end included if it has one, over its steps ** length_penalty."""
        captions = [self.words[hypothesis.tokens].tolist() for hypothesis in hypotheses]
        traces = teacher_force(self.model.decoder, self._regions(len(captions)), captions)
        steps = [len(hypothesis.tokens) + (hypothesis.end_log_probability is not None) for hypothesis in hypotheses]
        return [
            float(trace.log_probabilities[:count].sum()) / count**length_penalty
            for trace, count in zip(traces, steps, strict=True)
        ]

    @property
    def _speaker(self) -> TorchSpeaker[object]:
        return TorchSpeaker(self.model.decoder)

    def _regions(self, count: int) -> Tensor:
        regions: Tensor = self.model.encoder(torch.empty(count, device=self.device))
        return regions
