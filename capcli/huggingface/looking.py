"""Given captions under a model: how likely each token is, and where the decoder looks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from capcli.huggingface.asking import Asked, force
from capcli.huggingface.loading import Loaded


@dataclass(frozen=True)
class Looked:
    """A given caption of T tokens under a model.

    Attributes:
        log_probabilities: T + 1 natural logarithms, of each token given those before it and of the end.
        attention: T x keys, the cross-attention averaged over layers and heads; None where it was not asked for.
        relevance: T x keys, what in it speaks for the token: the positive part of each weight times the gradient of the
            token's log-probability by it (Chefer, Gur and Wolf 2021, section 3.1), summed over layers and heads; None
            where it was not asked for.
    """

    log_probabilities: Tensor
    attention: Tensor | None = None
    relevance: Tensor | None = None


def look(
    loaded: Loaded,
    kind: str,
    asked: Asked,
    captions: Sequence[Sequence[int]],
    end: int,
    *,
    attention: bool = False,
    gradients: bool = False,
) -> list[Looked]:
    """Feeds given captions, one for each picture; their tokens come after `asked.begin`.

    Args:
        loaded: the model.
        kind: its family's `model_type`.
        asked: B pictures.
        captions: B lists of tokens, without the end.
        end: the token that ends a caption.
        attention: also give the attention; of a family that has cross-attention.
        gradients: also give the relevance; of such a family.
    """
    begin, device = asked.begin, asked.head.device
    longest = max(map(len, captions))
    padded = [[*caption, *[end] * (longest + 1 - len(caption))] for caption in captions]
    wanted = torch.tensor(padded, device=device)
    ids = torch.cat([asked.head[:, :begin], wanted[:, :-1]], 1)
    # The end may stand for padding in a model, and one stands behind each caption that is shorter than another.
    real = torch.tensor([[1] * (begin + len(caption)) + [0] * (longest - len(caption)) for caption in captions])
    maps = attention or gradients
    with torch.inference_mode(not gradients), torch.set_grad_enabled(gradients), _eager(loaded, maps):
        if gradients:
            # The weights take no gradients, so autograd follows what begins with the pictures.
            inputs = {name: tensor.clone() for name, tensor in asked.inputs.items()}
            inputs["pixel_values"].requires_grad_()
            asked = Asked(inputs, asked.head, begin)
        logits, crossing = force(loaded, kind, asked, ids, real.to(device), attentions=maps)
        log_probabilities = logits[:, begin - 1 :].float().log_softmax(-1).gather(2, wanted[..., None]).squeeze(2)
        # The row of a weight is the token that it follows.
        shares = [layer[:, :, begin - 1 : begin - 1 + longest] for layer in crossing]
        relevant = _relevance(log_probabilities, crossing, begin, longest) if gradients else None
        looked = torch.stack([share.float().mean(1) for share in shares]).mean(0) if maps and longest else None
    return [
        Looked(
            log_probabilities[row, : len(caption) + 1].detach().cpu(),
            None if looked is None else looked[row, : len(caption)].detach().cpu(),
            None if relevant is None else relevant[row, : len(caption)].cpu(),
        )
        for row, caption in enumerate(captions)
    ]


def _relevance(log_probabilities: Tensor, crossing: Sequence[Tensor], begin: int, longest: int) -> Tensor:
    """B x T x keys; a token's own row of weights alone, though weights of earlier ones have a part in it, too."""
    found = []
    for place in range(longest):
        gradients = torch.autograd.grad(log_probabilities[:, place].sum(), crossing, retain_graph=True)
        row = begin - 1 + place
        parts = [
            (gradient[:, :, row] * layer[:, :, row]).clamp(min=0).float().sum(1)
            for gradient, layer in zip(gradients, crossing, strict=True)
        ]
        found.append(torch.stack(parts).sum(0).detach())
    return torch.stack(found, 1)


@contextmanager
def _eager(loaded: Loaded, wanted: bool) -> Iterator[None]:
    """Has the model compute attention so that it can be seen; fused kernels, which are faster, tell none."""
    model = loaded.model
    before = model.config._attn_implementation
    if wanted:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if wanted:
            model.set_attn_implementation(before)
