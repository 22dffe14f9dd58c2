"""What a search asks of a decoder, in arrays, whatever computes it."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol, TypeVar

from capcli.arrays import Float32Array, IntArray

Regions = TypeVar("Regions", bound=Sized, contravariant=True)
"""Those of B pictures, as whatever computes holds them."""

State = TypeVar("State")
"""What a speaker remembers of pictures and of the words so far."""


class Speaker(Protocol[Regions, State]):
    """Says one word after another about regions; see `capcli.model.decoders.contract.Decoder` for rows and pictures."""

    def start(self, regions: Regions) -> State:
        """State before the first word, one row per picture."""
        ...

    def step(self, tokens: IntArray, state: State) -> tuple[Float32Array, Float32Array | None, State]:
        """Feeds the last words, N, and predicts the next.

        Returns:
            Log-probabilities N x V, attention N x R (None for a decoder without it), and the new state.
        """
        ...

    def sentinel(self, state: State) -> Float32Array | None:
        """Of the step that gave `state`: N shares of the visual sentinel, None for a decoder without one."""
        ...

    def reorder(self, state: State, index: IntArray) -> State:
        """State whose row i is row `index[i]` of `state`; rows may repeat or go."""
        ...
