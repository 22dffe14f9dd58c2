"""What fine-tuning brought: a model beside the one that it began from."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from capcli.captioner import Captioner
from capcli.datasets import Item
from capcli.evaluation.scores import Difference, compare
from capcli.model.decoders.registry import decoder_config
from capcli.model.device import bfloat16_pays
from capcli.modelfile.checkpoint import Checkpoint
from capcli.pictures.read import read_array
from capcli.training.evaluate import perplexity


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


def measure_gain(before: Checkpoint, after: Checkpoint, items: Sequence[Item], device: torch.device) -> Gain:
    """Compares two models of the same vocabulary on at least one picture.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
    """
    said, perplexities = [], []
    for checkpoint in (before, after):
        # A copy, because a captioner computes with weights of less precision than those that are to be saved.
        own = dataclasses.replace(checkpoint, model=copy.deepcopy(checkpoint.model))
        perplexities.append(_perplexity(own, items, device))
        said.append([caption.text for caption in Captioner.of(own, "", device).caption([item.image for item in items])])
    differences = compare([item.captions for item in items], *said, java=False)
    return Gain(len(items), differences.metrics["CIDEr-D"], (perplexities[0], perplexities[1]))


def _perplexity(checkpoint: Checkpoint, items: Sequence[Item], device: torch.device) -> float:
    """`perplexity`, captions cut at what the decoder can say."""
    model = checkpoint.model.to(device)
    longest = decoder_config(model.config.decoder)[1].max_length

    def regions(files: Sequence[Path]) -> Tensor:
        pictures = np.stack([read_array(file, model.encoder.config.size) for file in files])
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_pays(device)):
            seen: Tensor = model.encoder(torch.from_numpy(pictures).to(device))
            return seen.float()

    return perplexity(model, items, longest, regions)
