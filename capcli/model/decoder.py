"""The contract every decoder keeps, and the registry that builds one from its config."""

from __future__ import annotations

import dataclasses
import difflib
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from capcli.errors import UsageError

State = TypeVar("State")

LARGEST_OPTION = 65536


class Decoder(nn.Module, ABC):
    """Says one word after another about the regions of a picture.

    N rows decode at once. Rows belong to pictures: with B pictures and N = B * K captions, rows b*K to b*K+K-1
    are captions of picture b. Beam search, sampling, heatmaps and training use only these methods.

    Attributes:
        heads: layers and heads of each that attend to the regions; (0, 0) for a decoder without attention.
    """

    heads: tuple[int, int] = (0, 0)

    @abstractmethod
    def start(self, regions: Tensor) -> Any:
        """State before the first word, one row per picture, from B x R x D regions."""

    @abstractmethod
    def attend(self, tokens: Tensor, state: Any, gates: Tensor | None = None) -> tuple[Tensor, Tensor | None, Any]:
        """Feeds the last words (N indices) and predicts the next, the attention of every head told apart.

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

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Tensor | None, Any]:
        """What `attend` gives, the attention N x R averaged over layers and heads."""
        log_probabilities, weights, state = self.attend(tokens, state)
        return log_probabilities, None if weights is None else weights.mean((1, 2)), state

    def trace(self, captions: Tensor, state: Any, gates: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Feeds whole captions and tells where each word looked: what `attend` gives word by word.

        Args:
            captions: N x T input words.
            state: before the first of them, one row for each caption.
            gates: N x T x layers x heads x R factors of the attention, 1 where None. What earlier words saw is
                constant to a word: its gradient is by the gates of its own step alone.

        Returns:
            Log-probabilities N x T x V, and attention N x T x layers x heads x R, or None.
        """
        said, seen = [], []
        for step, tokens in enumerate(captions.unbind(1)):
            each = None if gates is None else gates[:, step]
            log_probabilities, weights, state = self.attend(tokens, _detached(state), each)
            said.append(log_probabilities)
            if weights is not None:
                seen.append(weights)
        return torch.stack(said, 1), torch.stack(seen, 1) if seen else None

    @abstractmethod
    def reorder(self, state: Any, index: Tensor) -> Any:
        """State whose row i is row `index[i]` of `state`; rows may repeat or go."""

    @abstractmethod
    def forward(self, regions: Tensor, captions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: B x R x D regions and N x T input words give N x T x V log-probabilities and
        N x T x R attention (or None), equal to what `step` gives word by word.
        """


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


def decoders() -> dict[str, tuple[type, type[Decoder]]]:
    """Every decoder by its name in recipes: its config class and its module class."""
    from capcli.model.decoder_lstm import LSTMConfig, LSTMDecoder
    from capcli.model.decoder_transformer import TransformerConfig, TransformerDecoder

    return {"lstm": (LSTMConfig, LSTMDecoder), "transformer": (TransformerConfig, TransformerDecoder)}


def decoder_config(settings: dict[str, Any]) -> tuple[str, Any]:
    """Checks `{"name": ..., option: value, ...}` and returns the name and the config object.

    Raises:
        UsageError: for an unknown name or option, near names listed, or a value of the wrong type or range.
    """
    settings = dict(settings)
    name = settings.pop("name", None)
    known = decoders()
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"no decoder named {name!r}; there are {', '.join(known)}")
    config_class = known[name][0]
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    for key, value in settings.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 3) or sorted(fields)
            raise UsageError(f"decoder {name} has no option {key!r}; near it: {', '.join(near)}")
        share = fields[key].type == "float"
        least = fields[key].metadata.get("min", 0 if share else 1)
        most = fields[key].metadata.get("max", 1 if share else LARGEST_OPTION)
        number = not isinstance(value, bool) and isinstance(value, (int, float) if share else int)
        if not number or not least <= value <= most:
            kind = "a number" if share else "a whole number"
            raise UsageError(f"decoder {name}: {key} must be {kind} from {least} to {most}, not {value!r}")
    return name, config_class(**settings)


def build_decoder(settings: dict[str, Any], region_width: int, regions: int, vocabulary_size: int) -> Decoder:
    """Builds the decoder that `settings` describe for R = `regions` regions of width D = `region_width`."""
    name, config = decoder_config(settings)
    try:
        return decoders()[name][1](config, region_width, regions, vocabulary_size)
    except ValueError as error:
        raise UsageError(f"decoder {name}: {error}") from None
