"""How often captions of a given confidence are good, and the calibration that makes confidence say so.

usage: python benchmarks/calibration.py DATASET [DATASET ...] [--split dev|test] [--model NAME|FILE] [--write FILE]
                                        [--length-penalty X]

Captions the pictures of a split (DATASET is anything `capcli train --data` reads) and scores each caption's CIDEr-D
against its references; a good one has at least 0.5. Prints for each data set, for every tenth of confidence, the share
of good captions among those of that confidence or more, and the expected calibration error: the mean distance, over
tenths and weighted by their captions, between confidence and the share of good ones.

With --write a calibration is fitted to the dev splits, each of the same weight, without words that the model expects,
and a copy of the model with it is written to FILE. With --length-penalty captions are made with X in place of the
model's own, and FILE has X as its own.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from machine import describe

from capcli.arrays import Float64Array


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--model", default="base")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--length-penalty", type=float, metavar="X")
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


def print_shares(path: Path, confidences: Float64Array, scores: Float64Array, least_good: float) -> None:
    """The table of one data set, and its expected calibration error."""
    good = scores >= least_good
    print(f"\n{path}")
    print(f"confidence  captions at or above  good of these (CIDEr-D >= {least_good})  their mean CIDEr-D")
    for least in np.arange(0.0, 1.0, 0.1):
        chosen = confidences >= least
        if chosen.any():
            print(f"{least:10.1f}  {chosen.sum():20}  {good[chosen].mean():31.3f}  {scores[chosen].mean():18.3f}")
    tenths = np.minimum((confidences * 10).astype(int), 9)
    errors = [
        (tenths == tenth).sum() * abs(good[tenths == tenth].mean() - confidences[tenths == tenth].mean())
        for tenth in np.unique(tenths)
    ]
    print(f"{len(good)} pictures, {good.mean():.3f} good; expected calibration error {sum(errors) / len(good):.3f}")


if __name__ == "__main__":
    main()
