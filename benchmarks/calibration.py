"""How often captions of a given confidence are good, and the calibration that makes confidence say so.

usage: python benchmarks/calibration.py DATASET [DATASET ...] [--split dev|test] [--model NAME|FILE] [--write FILE]
                                        [--length-penalty X] [--with-words]

Captions the pictures of a split (DATASET is anything `capcli train --data` reads) and scores each caption's CIDEr-D
against its references; a good one has at least 0.5. Prints for each data set, for every tenth of confidence, the share
of good captions among those of that confidence or more, and the expected calibration error: the mean distance, over
tenths and weighted by their captions, between confidence and the share of good ones. Beside it stands the error that a
confidence without any would have on so few pictures.

With --write a calibration is fitted to the dev splits, each of the same weight, without words that the model expects,
and a copy of the model with it is written to FILE. With --length-penalty captions are made with X in place of the
model's own, and FILE has X as its own.

With --with-words the confidence of captions that are chosen with the words that the model expects is fitted to the dev
splits, each of the same weight, and put into the file of those words, MODEL.words. It prints the error of each data set
by cross-validation, too: the mean of five divisions of all pictures into five parts.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from keywords import pool
from machine import describe

from capcli.arrays import BoolArray, Float64Array

if TYPE_CHECKING:
    from capcli.captioner import Captioner
    from capcli.datasets import Item

FOLDS, DIVISIONS, DRAWS = 5, 5, 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--model", default="base")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--length-penalty", type=float, metavar="X")
    parser.add_argument("--with-words", action="store_true")
    options = parser.parse_args()

    from capcli.captioner import Captioner
    from capcli.compression.smaller_models import save_smaller
    from capcli.datasets import read_dataset
    from capcli.errors import CapcliError
    from capcli.model.device import choose_device
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.confidence import GOOD
    from capcli.modelfile.shipped import find_model
    from capcli.training.calibrate import calibrate, judged

    print(f"machine: {describe()}")
    try:
        checkpoint = Checkpoint.load(find_model(options.model))
        if options.length_penalty is not None:
            chosen = checkpoint.options.replace(length_penalty=options.length_penalty)
            checkpoint = dataclasses.replace(checkpoint, options=chosen)
        collections = {path: read_dataset(path).split(options.split) for path in options.datasets}
        for path, items in collections.items():
            if not items:
                raise SystemExit(f"{path}: has no {options.split} split")
        if options.write:
            if options.write.resolve() == find_model(options.model).resolve():
                raise SystemExit("--write FILE is the model itself; name another file")
            if options.split != "dev":
                raise SystemExit("a calibration is fitted to the dev split; leave --split out")
            fitted = calibrate(checkpoint, list(collections.values()), choose_device("cpu"))
            checkpoint = dataclasses.replace(checkpoint, calibration=fitted)
            save_smaller(checkpoint, find_model(options.model), options.write)
        if options.with_words:
            if options.split != "dev" or options.write or options.length_penalty is not None:
                raise SystemExit("--with-words fits to the dev split, the model as it is; leave other options out")
            fit_with_words(Captioner.of_file(find_model(options.model)), find_model(options.model), collections)
        if checkpoint.calibration is None:
            raise SystemExit("the model has no calibration; --write FILE makes one")
        captioner = Captioner.of_file(options.write or find_model(options.model))
        if options.length_penalty is not None:
            captioner.options = captioner.options.replace(length_penalty=options.length_penalty)
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    print(f"{checkpoint.calibration.slope:.4f} * log m + {checkpoint.calibration.intercept:.4f}")
    for path, items in collections.items():
        print_shares(path, *judged(captioner, items), GOOD)


def fit_with_words(captioner: Captioner, file: Path, collections: Mapping[Path, Sequence[Item]]) -> None:
    """Puts the confidence of captions that are chosen with expected words beside these words."""
    from capcli.modelfile.confidence import GOOD, PictureCalibration
    from capcli.modelfile.expected_words import ExpectedWords
    from capcli.training.calibrate import judged, weigh_alike

    words = ExpectedWords.of_model(file)
    if words is None:
        raise SystemExit(f"{file} expects no words; benchmarks/expected_words.py fits some to it")
    captioner.calibration = None  # so that a confidence is the mean probability
    parts = [judged(captioner, items) for items in collections.values()]
    pooled = np.concatenate([pool(captioner, items, None) for items in collections.values()])
    means, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    good, weights = scores >= GOOD, weigh_alike(list(collections.values()))
    counts = [len(items) for items in collections.values()]
    errors = np.zeros((DIVISIONS, len(counts)))
    for division in range(DIVISIONS):
        fold, confidences = np.random.default_rng(division).integers(0, FOLDS, len(good)), np.zeros(len(good))
        for part in range(FOLDS):
            others = fold != part
            fitted = PictureCalibration.fit(means[others], pooled[others], good[others], weights[others])
            if fitted is None:
                raise SystemExit("too few pictures, or captions that are all good or all bad, fit no confidence")
            chosen = zip(means[~others], fitted.of_pictures(pooled[~others]), strict=True)
            confidences[~others] = [calibration(mean) for mean, calibration in chosen]
        parted = np.split(np.arange(len(good)), np.cumsum(counts)[:-1])
        errors[division] = [calibration_error(confidences[rows], good[rows]) for rows in parted]
    for path, error in zip(collections, errors.mean(0), strict=True):
        print(f"{path}: expected calibration error {error:.3f} by cross-validation")
    whole = PictureCalibration.fit(means, pooled, good, weights)
    print(f"fitted: {dataclasses.replace(words, confidence=whole).save(file)}")


def calibration_error(confidences: Float64Array, good: BoolArray) -> float:
    """The expected calibration error."""
    tenths = np.minimum((confidences * 10).astype(int), 9)
    errors = [
        (tenths == tenth).sum() * abs(good[tenths == tenth].mean() - confidences[tenths == tenth].mean())
        for tenth in np.unique(tenths)
    ]
    return float(sum(errors) / len(good))


def print_shares(path: Path, confidences: Float64Array, scores: Float64Array, least_good: float) -> None:
    """The table of one data set, and its expected calibration error."""
    good = scores >= least_good
    print(f"\n{path}")
    print(f"confidence  captions at or above  good of these (CIDEr-D >= {least_good})  their mean CIDEr-D")
    for least in np.arange(0.0, 1.0, 0.1):
        chosen = confidences >= least
        if chosen.any():
            print(f"{least:10.1f}  {chosen.sum():20}  {good[chosen].mean():31.3f}  {scores[chosen].mean():18.3f}")
    chance = np.random.default_rng(0)
    least = np.mean([calibration_error(confidences, chance.random(len(good)) < confidences) for _ in range(DRAWS)])
    error = calibration_error(confidences, good)
    print(
        f"{len(good)} pictures, {good.mean():.3f} good; expected calibration error {error:.3f}, {least:.3f} by chance"
    )


if __name__ == "__main__":
    main()
