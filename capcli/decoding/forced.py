"""Teacher forcing word by word: how likely given captions are, and where the decoder looks for each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END, START


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


def forced(
    decoder: Decoder, regions: Tensor, captions: Sequence[Sequence[int]], *, gradients: bool = False
) -> list[Forced]:
    """Feeds given captions, one for each picture.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        captions: B lists of word indices, without start and end.
        gradients: compute the relevance too, for a decoder with attention.
    """
    device, longest = regions.device, max(map(len, captions))
    padded = [[START, *caption, *[END] * (longest + 1 - len(caption))] for caption in captions]
    layers, heads = decoder.heads
    with_gradients = gradients and layers > 0
    logs, attention, relevance, sentinel = [], [], [], []
    with torch.inference_mode(not with_gradients), torch.set_grad_enabled(with_gradients):
        tokens = torch.tensor(padded, device=device)
        if with_gradients and regions.is_inference():
            regions = regions.clone()  # as autograd takes no tensors of inference mode
        state = decoder.start(regions)
        for step in range(longest + 1):
            gates = None
            if with_gradients:
                gates = torch.ones(len(regions), layers, heads, regions.shape[1], device=device, requires_grad=True)
            log_probabilities, weights, state = decoder.attend(tokens[:, step], state, gates)
            said = log_probabilities.gather(1, tokens[:, step + 1 :][:, :1]).squeeze(1)
            logs.append(said.detach())
            if weights is not None:
                attention.append(weights.detach())
            share = decoder.sentinel(state)
            if share is not None:
                sentinel.append(share.detach())
            if gates is not None:
                # Only by the gates of this step: what earlier words saw is no part of what this one sees.
                relevance.append(torch.autograd.grad(said.sum(), gates)[0])
    return [
        Forced(
            _row(logs, row, len(caption) + 1),
            _row(attention, row, len(caption)) if attention else None,
            _row(relevance, row, len(caption)) if relevance else None,
            _row(sentinel, row, len(caption)) if sentinel else None,
        )
        for row, caption in enumerate(captions)
    ]


def _row(steps: list[Tensor], row: int, count: int) -> Tensor:
    return torch.stack([step[row] for step in steps[:count]]).cpu() if count else steps[0][:0].cpu()
