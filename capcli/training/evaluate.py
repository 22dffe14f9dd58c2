"""Captions and CIDEr-D of held-out pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from capcli.datasets import Item
from capcli.decoding.decode import decode
from capcli.decoding.options import DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.metrics.cider import corpus_cider_d
from capcli.metrics.tokens import tokenize
from capcli.model.captioning import CaptioningModel

BATCH = 32


def evaluate(
    model: CaptioningModel,
    items: Sequence[Item],
    options: DecodingOptions,
    regions: Callable[[Sequence[Path]], Tensor],
) -> float:
    """CIDEr-D of the best captions against the references, on the toolkit's scale: 0.589 where papers print 58.9.

    Args:
        model: model in evaluation mode.
        items: held-out pictures with their references.
        options: decoding options.
        regions: gives B x R x D regions for B picture files.

    Raises:
        UsageError: if the model cannot say the options' prefix, or has no matcher to re-rank by.
    """
    prefix = encode_prefix(options, model.vocabulary)
    hypotheses: list[list[str]] = []
    with torch.inference_mode():
        for start in range(0, len(items), BATCH):
            batch = regions([item.image for item in items[start : start + BATCH]])
            found = decode(model.decoder, batch, options, prefix=prefix, matcher=model.matcher)
            hypotheses += [model.vocabulary.decode(best[0].tokens) for best in found]
    references = [[tokenize(caption) for caption in item.captions] for item in items]
    return corpus_cider_d(references, hypotheses)
