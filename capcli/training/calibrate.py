"""The calibration of a model's confidence on held-out pictures."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from capcli.arrays import Float64Array
from capcli.caption import Caption
from capcli.captioner import Captioner
from capcli.captioning import BaseCaptioner
from capcli.datasets import Item
from capcli.errors import UsageError
from capcli.evaluation.references import References
from capcli.hub.settings import keep_calibration
from capcli.huggingface.captioner import HuggingFaceCaptioner
from capcli.metrics.cider import CiderD
from capcli.model.options import BATCH
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import GOOD, Calibration
from capcli.words.tokens import tokenize

Progress = Callable[[int, int], None]
"""Is given what is done, and what there is in all."""


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
    return Calibration.fit(mean_probabilities, scores >= GOOD, weigh_alike(collections))


def weigh_alike(collections: Sequence[Sequence[Item]]) -> Float64Array:
    """How much each picture counts, 1 in the mean, where all collections, none of them empty, count the same."""
    counts = [len(items) for items in collections]
    return np.repeat([sum(counts) / len(counts) / count for count in counts], counts)


def calibrate_pulled(
    model: str, references: References, pictures: int, device: str, *, progress: Progress
) -> tuple[Path, Calibration, int]:
    """Fits the confidence of a captioner of Hugging Face, and keeps it for this user.

    Args:
        model: as `HuggingFaceCaptioner.load` takes it.
        references: captions of pictures by people.
        pictures: how many of them are drawn, always the same; 0 for all.
        device: as `HuggingFaceCaptioner.load` takes it.
        progress: is given what is done, and what there is in all.

    Returns:
        where it is kept, the calibration, and how many captions it was fitted to.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
        UsageError: where nothing can be fitted; ModelError and CapcliError as loading and keeping do.
    """
    captioner = HuggingFaceCaptioner.load(model, device)
    captioner.calibration = None
    split = references.split or "dev"
    items = [Item(item.image, item.captions, split) for item in references.items if item.image and item.captions]
    if 0 < pictures < len(items):
        items = [items[place] for place in sorted(np.random.default_rng(0).permutation(len(items))[:pictures])]
    probabilities, scores = judged(captioner, items, progress)
    fitted = Calibration.fit(probabilities, scores >= GOOD)
    if fitted is None:
        raise UsageError(
            f"{references.source} fits no confidence: it takes 50 captions or more, good ones and bad ones, and the "
            "surer ones better"
        )
    about: dict[str, object] = {"data": str(references.source), "split": references.split, "captions": len(items)}
    return keep_calibration(captioner.repository, fitted, about), fitted, len(items)


def judged(
    captioner: BaseCaptioner, items: Sequence[Item], progress: Progress = lambda done, total: None
) -> tuple[Float64Array, Float64Array]:
    """Confidence and CIDEr-D of the captions of pictures, both float64 of shape (items,); raises UnreadableImage."""
    captions: list[Caption] = []
    for start in range(0, len(items), BATCH):
        captions += captioner.caption([item.image for item in items[start : start + BATCH]])
        progress(len(captions), len(items))
    references = [[tokenize(caption) for caption in item.captions] for item in items]
    scores = CiderD(references).score([[word.text for word in caption.words] for caption in captions])
    return np.array([caption.confidence for caption in captions]), scores
