"""A decoder in torch as a search asks it."""

from __future__ import annotations

from typing import Generic

import torch
from torch import Tensor

from capcli.arrays import Float32Array, IntArray
from capcli.model.decoders.contract import Decoder, State


class TorchSpeaker(Generic[State]):
    """A `Speaker` of regions B x R x D that lie where the decoder does; in evaluation mode, without gradients."""

    def __init__(self, decoder: Decoder[State]) -> None:
        self._decoder = decoder

    @torch.no_grad()
    def start(self, regions: Tensor) -> State:
        return self._decoder.start(regions)

    @torch.no_grad()
    def step(self, tokens: IntArray, state: State) -> tuple[Float32Array, Float32Array | None, State]:
        log_probabilities, weights, state = self._decoder.step(self._tensor(tokens), state)
        return array(log_probabilities), None if weights is None else array(weights), state

    @torch.no_grad()
    def sentinel(self, state: State) -> Float32Array | None:
        share = self._decoder.sentinel(state)
        return None if share is None else array(share)

    @torch.no_grad()
    def reorder(self, state: State, index: IntArray) -> State:
        return self._decoder.reorder(state, self._tensor(index))

    def _tensor(self, indices: IntArray) -> Tensor:
        parameter = next(self._decoder.parameters(), None)
        return torch.from_numpy(indices).to("cpu" if parameter is None else parameter.device)


def array(tensor: Tensor) -> Float32Array:
    """The values of a tensor in float32, where numpy finds them."""
    values: Float32Array = tensor.detach().float().cpu().numpy()
    return values
