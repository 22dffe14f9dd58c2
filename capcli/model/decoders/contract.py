"""The contract every decoder keeps."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

State = TypeVar("State")
"""What a decoder remembers of a picture and of the words so far."""


class DecoderConfig(Protocol):
    """A dataclass of a decoder's options, which has these two beside those of its own.

    Attributes:
        region_layers: of the region encoder in front.
        max_length: the longest caption, in words.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def region_layers(self) -> int: ...

    @property
    def max_length(self) -> int: ...


class Decoder(nn.Module, ABC, Generic[State]):
    """Says one word after another about the regions of a picture.

    N rows decode at once. Rows belong to pictures: with B pictures and N = B * K captions, rows b*K to b*K+K-1
    are captions of picture b. Beam search, sampling, heatmaps and training use only these methods.

    Attributes:
        heads: layers and heads of each that attend to the regions; (0, 0) for a decoder without attention.
    """

    heads: tuple[int, int] = (0, 0)

    @abstractmethod
    def start(self, regions: Tensor) -> State:
        """State before the first word, one row per picture, from B x R x D regions."""

    def begin(self, regions: Tensor, count: int) -> State:
        """State before the first word of `count` captions of each picture, its rows beside each other."""
        rows = torch.arange(len(regions), device=regions.device).repeat_interleave(count)
        return self.reorder(self.start(regions), rows)

    @abstractmethod
    def attend(self, tokens: Tensor, state: State, gates: Tensor | None = None) -> tuple[Tensor, Tensor | None, State]:
        """Feeds the last words (N indices) and predicts the next, with the attention of each head by itself.

        Args:
            tokens: the words.
            state: before them.
            gates: N x layers x heads x R factors of the attention, 1 where None. At gates of 1 the gradient of a
                log-probability by them is its gradient by the attention, times the attention.

        Returns:
            Log-probabilities N x V (float32, each row's exponentials sum to 1), attention N x layers x heads x R over
            the regions, before the gates (each head's sums to 1; None for a decoder without attention), and the
            new state.
        """

    def sentinel(self, state: State) -> Tensor | None:
        """Of the step that gave `state`: N shares, 0 to 1, of what was looked at that were the decoder's own memory and
        not the picture; the attention says how the rest is divided. None for a decoder without a visual sentinel.
        """
        return None

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """What `attend` gives, the attention N x R averaged over layers and heads."""
        log_probabilities, weights, state = self.attend(tokens, state)
        return log_probabilities, None if weights is None else weights.mean((1, 2)), state

    def trace(
        self, captions: Tensor, state: State, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Feeds whole captions and says where each word looked: what `attend` gives word by word.

        Args:
            captions: N x T input words.
            state: before the first of them, one row for each caption.
            gates: N x T x layers x heads x R factors of the attention, 1 where None. What earlier words saw is
                constant to a word: its gradient is by the gates of its own step alone.

        Returns:
            Log-probabilities N x T x V, attention N x T x layers x heads x R, or None, and what `sentinel` gives,
            N x T, or None.
        """
        logs, attentions, sentinels = [], [], []
        for step, tokens in enumerate(captions.unbind(1)):
            step_gates = None if gates is None else gates[:, step]
            log_probabilities, weights, state = self.attend(tokens, _detached(state), step_gates)
            logs.append(log_probabilities)
            if weights is not None:
                attentions.append(weights)
            if (share := self.sentinel(state)) is not None:
                sentinels.append(share)
        weights, shares = (torch.stack(steps, 1) if steps else None for steps in (attentions, sentinels))
        return torch.stack(logs, 1), weights, shares

    @abstractmethod
    def reorder(self, state: State, index: Tensor) -> State:
        """State whose row i is row `index[i]` of `state`; rows may repeat or go."""

    @abstractmethod
    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: B x R x D regions and N x T input words give N x T x V log-probabilities and
        N x T x R attention (or None), equal to what `step` gives word by word.
        """


def word_by_word(decoder: Decoder[Any], regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
    """`Decoder.forward` for a decoder that can only go step by step, since what it sees of a word changes the next."""
    state = decoder.begin(regions, len(captions) // len(regions))
    logs, attentions = [], []
    for tokens in captions.unbind(1):
        log_probabilities, weights, state = decoder.step(tokens, state)
        logs.append(log_probabilities)
        if weights is not None:
            attentions.append(weights)
    return torch.stack(logs, 1), torch.stack(attentions, 1) if attentions else None


def _detached(state: Any) -> Any:
    """A state through which no gradient goes."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, (tuple, list)):
        return type(state)(map(_detached, state))
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        parts = {field.name: _detached(getattr(state, field.name)) for field in dataclasses.fields(state)}
        return dataclasses.replace(state, **parts)
    return state
