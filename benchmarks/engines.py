"""Whether engines say the same: captions and probabilities of pictures by ONNX Runtime and by torch in float32.

usage: python benchmarks/engines.py DATA [--split NAME] [--count N] [--first N] [--model NAME|FILE]

Prints how many captions are equal. Of each that is not it says how far apart torch holds the two: where that is below
1e-4 of score, they are tied, and rounding chose. DATA is a data set as `capcli eval` takes it. --first leaves out as
many pictures, so that a long run can be taken in parts.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

TIE = 1e-4


def main() -> None:
    import torch

    from capcli.captioner import Captioner
    from capcli.datasets.detect import read_dataset
    from capcli.engines.torch_engine import TorchEngine
    from capcli.model.options import BATCH
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    checkpoint = Checkpoint.load(find_model(options.model))
    in_torch = Captioner(TorchEngine(checkpoint, torch.device("cpu"), exact=True), checkpoint.manner, "torch")
    onnx = Captioner.of_file(find_model(options.model), engine="onnx")
    assert onnx.engine == "onnx", onnx.notes
    images = [item.image for item in read_dataset(options.data).split(options.split)]
    images = images[options.first : options.first + options.count]
    equal, ties, furthest = 0, 0, 0.0
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        arrays = np.stack([onnx.prepare(image) for image in part])
        for image, of_onnx, of_torch in zip(
            part, onnx.caption_arrays(arrays), in_torch.caption_arrays(arrays), strict=True
        ):
            if of_onnx.text == of_torch.text:
                equal += 1
                furthest = max(furthest, abs(of_onnx.confidence - of_torch.confidence))
                continue
            apart = [score(in_torch, onnx.prepare(image), caption) for caption in (of_onnx, of_torch)]
            ties += abs(apart[0] - apart[1]) < TIE
            print(f"{image.name}: {of_onnx.text!r} {apart[0]:.6f}, torch {of_torch.text!r} {apart[1]:.6f}")
    print(
        f"{equal} of {len(images)} captions equal, {ties} of the others tied within {TIE}; of equal ones the "
        f"confidence differs by {furthest:.1e} at most"
    )


def score(captioner: Any, array: Any, caption: Any) -> float:
    """The score of a finished caption by which the beam search ranks it."""
    logs = captioner.log_probabilities(array[None], [word.text for word in caption.words])[0]
    return float(logs.sum() / len(logs) ** captioner.options.length_penalty)


if __name__ == "__main__":
    main()
