"""What models are judged by on held-out pictures: CIDEr-D of their captions, and perplexity of the pictures' own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from capcli.datasets import Item
from capcli.decoding.decode import decode
from capcli.decoding.options import DecodingOptions
from capcli.decoding.prefix import encode_prefix
from capcli.metrics.cider import corpus_cider_d
from capcli.model.network import CaptioningModel
from capcli.training.targets import pad, shift, target
from capcli.words.tokens import tokenize
from capcli.words.vocabulary import PAD


def batch_size(device: torch.device) -> int:
    """Pictures that are judged at once: on a GPU a step of a search takes the same time for many as for few."""
    return 32 if device.type == "cpu" else 256


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
    count = batch_size(next(model.decoder.parameters()).device)
    with torch.inference_mode():
        for start in range(0, len(items), count):
            batch = regions([item.image for item in items[start : start + count]])
            found = decode(model.decoder, batch, options, prefix=prefix, matcher=model.matcher)
            hypotheses += [model.vocabulary.decode(best[0].tokens) for best in found]
    references = [[tokenize(caption) for caption in item.captions] for item in items]
    return corpus_cider_d(references, hypotheses)


def perplexity(
    model: CaptioningModel, items: Sequence[Item], longest: int, regions: Callable[[Sequence[Path]], Tensor]
) -> float:
    """exp(-mean log p) over the words of all captions of held-out items, each given those before it; at least 1.

    The end counts as a word, as does `<unknown>` for each word outside of the vocabulary, so that figures of models
    with other vocabularies do not compare.

    Args:
        model: model in evaluation mode.
        items: held-out pictures, or sentences.
        longest: of a caption with more words only so many count, without an end.
        regions: gives B x R x D regions for B picture files.
    """
    captions = [
        (item.image, [target(model.vocabulary.encode(tokenize(text)), longest) for text in item.captions])
        for item in items
    ]
    captions.sort(key=lambda pair: max(map(len, pair[1])))  # padding costs as much as words
    device, total, count = next(model.decoder.parameters()).device, 0.0, 0
    step = batch_size(device)
    with torch.inference_mode():
        for start in range(0, len(captions), step):
            files, own = zip(*captions[start : start + step], strict=True)
            seen = regions(files).to(device)
            rows = [row for row, several in enumerate(own) for _ in several]
            targets = pad([caption for several in own for caption in several]).to(device)
            log_probabilities, _ = model.decoder(seen[rows], shift(targets))
            chosen = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)[targets != PAD]
            total, count = total + float(chosen.double().sum()), count + len(chosen)
    return math.exp(min(-total / count, 700.0))
