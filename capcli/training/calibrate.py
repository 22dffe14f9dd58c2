"""The calibration of a model's confidence on held-out pictures."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from capcli.arrays import Float64Array
from capcli.captioner import BATCH, Captioner
from capcli.datasets import Item
from capcli.metrics.cider import CiderD
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import GOOD, Calibration
from capcli.words.tokens import tokenize


def calibrate(
    checkpoint: Checkpoint, collections: Sequence[Sequence[Item]], device: torch.device
) -> Calibration | None:
    """Finds out how often captions of a given confidence are good: of a CIDEr-D of at least `GOOD`.

    Args:
        checkpoint: the model, with the decoding options that it is used with.
        collections: pictures that it was not trained on, with their references. Each collection is scored by itself,
            and all count the same, whatever their sizes.
        device: where to compute.

    Returns:
        None where there is no calibration, see `Calibration.fit`.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
    """
    # A copy, because a captioner computes with weights of less precision than those that are to be saved.
    model = copy.deepcopy(checkpoint.model)
    captioner = Captioner.of(dataclasses.replace(checkpoint, model=model, calibration=None), "uncalibrated", device)
    collections = [items for items in collections if items]
    parts = [judged(captioner, items) for items in collections]
    if not parts:
        return None
    mean_probabilities, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    mean = len(scores) / len(collections)
    weights = np.concatenate([np.full(len(items), mean / len(items)) for items in collections])
    return Calibration.fit(mean_probabilities, scores >= GOOD, weights)


def judged(captioner: Captioner, items: Sequence[Item]) -> tuple[Float64Array, Float64Array]:
    """Confidence and CIDEr-D of the captions of pictures, both float64 of shape (items,); raises UnreadableImage."""
    captions = [
        caption
        for start in range(0, len(items), BATCH)
        for caption in captioner.caption([item.image for item in items[start : start + BATCH]])
    ]
    references = [[tokenize(caption) for caption in item.captions] for item in items]
    scores = CiderD(references).score([[word.text for word in caption.words] for caption in captions])
    return np.array([caption.confidence for caption in captions]), scores
