"""Teacher forcing: how likely given captions are, and where the decoder looks for each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from capcli.model.decoders.contract import Decoder, State
from capcli.words.vocabulary import END, START


@dataclass(frozen=True)
class Forced:
    """A given caption of T words under a decoder.

    Attributes:
        log_probabilities: T + 1 natural logarithms, of each word given those before it and of the end.
        attention: T x layers x heads x R weights over the regions, None for a decoder without attention.
        relevance: the same shape, each weight times the gradient of its word's log-probability by it (Chefer, Gur
            and Wolf 2021, equation 5, before the mean over heads); None where it was not asked for.
        sentinel: T shares of the visual sentinel, None for a decoder without one.
    """

    log_probabilities: Tensor
    attention: Tensor | None
    relevance: Tensor | None
    sentinel: Tensor | None = None


def teacher_force(
    decoder: Decoder[State],
    regions: Tensor,
    captions: Sequence[Sequence[int]],
    *,
    gradients: bool = False,
    state: State | None = None,
) -> list[Forced]:
    """Feeds given captions, one for each picture.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        captions: B lists of word indices, without start and end.
        gradients: compute the relevance too, for a decoder with attention.
        state: what the decoder's `start` gave for the regions, where it is there already.
    """
    device, longest = regions.device, max(map(len, captions))
    tokens = torch.tensor([[START, *caption, *[END] * (longest + 1 - len(caption))] for caption in captions])
    layers, heads = decoder.heads
    with_gradients = gradients and layers > 0
    # Autograd takes no tensors of inference mode, and to it the regions are constants.
    with torch.inference_mode(False), torch.no_grad():
        tokens = tokens.to(device, copy=True)
        state = decoder.start(regions.clone()) if state is None else state
    with torch.inference_mode(not with_gradients), torch.set_grad_enabled(with_gradients):
        gates = None
        if with_gradients:
            gates = torch.ones(*tokens[:, 1:].shape, layers, heads, regions.shape[1], device=device, requires_grad=True)
        log_probabilities, attention, sentinel = decoder.trace(tokens[:, :-1], state, gates)
        said = log_probabilities.gather(2, tokens[:, 1:, None]).squeeze(2)
        relevance = None if gates is None else torch.autograd.grad(said.sum(), gates)[0].cpu()
    told, seen, own = (None if one is None else one.detach().cpu() for one in (said, attention, sentinel))
    assert told is not None
    return [
        Forced(
            told[row, : len(caption) + 1],
            None if seen is None else seen[row, : len(caption)],
            None if relevance is None else relevance[row, : len(caption)],
            None if own is None else own[row, : len(caption)],
        )
        for row, caption in enumerate(captions)
    ]
