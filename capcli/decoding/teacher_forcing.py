"""Teacher forcing: how likely given captions are, and where the decoder looks for each word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.decoding.forced import Forced
from capcli.decoding.torch_speaker import array
from capcli.model.decoders.contract import Decoder, State
from capcli.words.vocabulary import END, START


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
        chosen = log_probabilities.gather(2, tokens[:, 1:, None]).squeeze(2)
        relevance = None if gates is None else array(torch.autograd.grad(chosen.sum(), gates)[0])
    logs = array(chosen)
    weights, shares = (None if tensor is None else array(tensor) for tensor in (attention, sentinel))
    return [
        Forced(
            logs[row, : len(caption) + 1],
            None if weights is None else weights[row, : len(caption)],
            None if relevance is None else relevance[row, : len(caption)],
            None if shares is None else shares[row, : len(caption)],
        )
        for row, caption in enumerate(captions)
    ]
