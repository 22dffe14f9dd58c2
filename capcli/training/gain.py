"""What fine-tuning brought: a model beside the one that it began from."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from capcli.captioner import BATCH, Captioner
from capcli.datasets import Item
from capcli.decoding.forced import forced
from capcli.evaluation.scores import Difference, compare
from capcli.metrics.tokens import tokenize
from capcli.model.checkpoint import Checkpoint
from capcli.model.decoder import decoder_config
from capcli.model.device import bfloat16_pays
from capcli.pictures.read import read_array


@dataclass(frozen=True)
class Gain:
    """Two models on the same pictures.

    Attributes:
        pictures: how many.
        cider_d: CIDEr-D of their captions, the difference and its 95 % interval.
        perplexity: of the pictures' own captions under either model, at least 1: between as many equally likely words
            it would be as unsure at each of them. Lower is better.
    """

    pictures: int
    cider_d: Difference
    perplexity: tuple[float, float]


def gain(before: Checkpoint, after: Checkpoint, items: Sequence[Item], device: torch.device) -> Gain:
    """Compares two models of the same vocabulary on at least one picture.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
    """
    said, perplexities = [], []
    for checkpoint in (before, after):
        # A copy, because a captioner computes with weights of less precision than those that are to be saved.
        own = dataclasses.replace(checkpoint, model=copy.deepcopy(checkpoint.model))
        perplexities.append(_perplexity(own, items, device))
        said.append([caption.text for caption in Captioner(own, "", device).caption([item.image for item in items])])
    differences = compare([item.captions for item in items], *said, java=False)
    return Gain(len(items), differences.metrics["CIDEr-D"], (perplexities[0], perplexities[1]))


def _perplexity(checkpoint: Checkpoint, items: Sequence[Item], device: torch.device) -> float:
    """Exp of the mean of -log p over the words and ends of all captions; unknown words are `<unknown>`. Of a caption
    longer than the decoder can say only the first words count, without an end.
    """
    model = checkpoint.model.to(device)
    longest = decoder_config(model.config.decoder)[1].max_length
    total, words = 0.0, 0
    half = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_pays(device))
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        with torch.inference_mode(), half:
            pictures = np.stack([read_array(item.image, model.encoder.config.size) for item in batch])
            regions = model.encoder(torch.from_numpy(pictures).to(device)).float()
        pairs = [
            (row, model.vocabulary.encode(tokenize(text))) for row, item in enumerate(batch) for text in item.captions
        ]
        for first in range(0, len(pairs), BATCH):
            rows, captions = zip(*pairs[first : first + BATCH], strict=True)
            cut = [caption[:longest] for caption in captions]
            for caption, one in zip(captions, forced(model.decoder, regions[list(rows)], cut), strict=True):
                said = one.log_probabilities[: len(caption) + 1 if len(caption) <= longest else longest]
                total, words = total - float(said.sum()), words + len(said)
    return math.exp(total / words)
