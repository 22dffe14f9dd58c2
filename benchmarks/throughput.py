"""Photographs captioned per second from disk, beside the model fed from memory and the encoder alone.

usage: python benchmarks/throughput.py [--pictures FOLDER] [--count N] [--rounds N] [--model NAME|FILE]
                                       [--batch-size N] [--engine NAME]

Takes turns, in processes of their own, between

  encoder  torchvision's efficientnet_b4 alone: fp32, random pixels of 224 x 224 from memory, batches of 16
  memory   capcli's model, encoder and beam search, on pictures that lie prepared in memory
  disk     what `capcli caption FOLDER -o rows.jsonl` does at its defaults, from the list of paths to the last row
           written: reading, decoding of JPEGs, resizing, encoding, beam search, output. Start-up is left out (the
           interpreter, imports, loading the model and one picture to warm up); the time of the whole process
           is printed too.

and prints images per second of each for every round, their ratios, and the peak resident memory of the process
that captions from disk. Without --pictures, JPEGs of 640 x 480 are cropped from examples/ and from the photographs
in scikit-image, if that is installed. Each uses as many threads as there are cores; OMP_NUM_THREADS changes that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe
from photographs import make_photographs

ENCODER_BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--turn", choices=TURNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(TURNS[options.turn](options)))
        return

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures is None:
            options.pictures = Path(folder)
            make_photographs(options.pictures, options.count)
        compare(options)


def compare(options: argparse.Namespace) -> None:
    rounds = []
    for number in range(1, options.rounds + 1):
        encoder, memory, disk = (turn(name, options) for name in TURNS)
        rounds.append((encoder["rate"], memory["rate"], disk["rate"], disk["peak_gb"]))
        print(
            f"round {number}: encoder alone {encoder['rate']:.2f} images/s; from memory {memory['rate']:.2f}; "
            f"from disk {disk['rate']:.2f} ({disk['pictures']} photographs, {disk['failed']} failed, "
            f"{disk['setting']}); disk/memory {disk['rate'] / memory['rate']:.3f}; "
            f"disk/encoder {disk['rate'] / encoder['rate']:.2f}; peak memory {disk['peak_gb']:.2f} GB; "
            f"whole process {disk['whole']:.1f} s",
            flush=True,
        )
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(
        f"median of {len(rounds)}: encoder alone {middle[0]:.2f} images/s; from memory {middle[1]:.2f}; from disk "
        f"{middle[2]:.2f}; disk/memory {statistics.median(d / m for _, m, d, _ in rounds):.3f}; "
        f"disk/encoder {statistics.median(d / e for e, _, d, _ in rounds):.2f}; "
        f"peak memory {max(peak for *_, peak in rounds):.2f} GB"
    )


def turn(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Takes a turn in a process of its own, so that neither warms caches or fills memory for the other."""
    chosen = {"pictures": options.pictures, "count": options.count, "model": options.model, "engine": options.engine}
    arguments = [f"--{key}={value}" for key, value in (chosen | {"batch-size": options.batch_size}).items()]
    start = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, f"--turn={name}", *arguments], check=True, stdout=subprocess.PIPE)
    whole = time.perf_counter() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "whole": whole}


def encoder_alone(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from torchvision.models import efficientnet_b4

    model = efficientnet_b4(weights=None).eval()
    images = torch.rand(ENCODER_BATCH, 3, 224, 224)
    steps = max(1, options.count // ENCODER_BATCH)
    with torch.inference_mode():
        model(images)
        start = time.perf_counter()
        for _ in range(steps):
            model(images)
        taken = time.perf_counter() - start
    return {"rate": steps * ENCODER_BATCH / taken}


def from_memory(options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.pictures.find import find_pictures
    from capcli.pictures.read import read_array

    captioner = Captioner.load(options.model, "cpu", engine=options.engine)
    files = find_pictures([options.pictures]).pictures
    arrays = np.stack([read_array(file, captioner.size) for file in files])
    captioner.caption_arrays(arrays[:1])
    start = time.perf_counter()
    for first in range(0, len(arrays), options.batch_size):
        captioner.caption_arrays(arrays[first : first + options.batch_size])
    return {"rate": len(arrays) / (time.perf_counter() - start)}


def from_disk(options: argparse.Namespace) -> dict[str, Any]:
    from capcli.model.options import ModelOptions
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.pictures.find import find_pictures
    from capcli.runs.session import Session
    from capcli.runs.writing import WriteCaptions

    place = ModelOptions(model=options.model, device="cpu", engine=options.engine, batch_size=options.batch_size)
    with tempfile.TemporaryDirectory() as folder, Session(place) as session:
        captioner = session.captioner
        pictures = find_pictures([options.pictures]).pictures
        captioner.caption(pictures[0])
        rows = OutputOptions(output=Path(folder, "rows.jsonl"))
        with Outputs(rows, sys.stdout.buffer, options.pictures) as outputs:
            tally = session.run(WriteCaptions(outputs), pictures)
    return {
        "rate": len(pictures) / tally.seconds,
        "pictures": len(pictures),
        "failed": tally.failed,
        "peak_gb": peak_memory() / 1e9,
        "setting": f"model {captioner.name}, batch {options.batch_size}, beam {captioner.options.beam_size}, "
        f"{getattr(captioner, 'engine', 'torch')}",
    }


def peak_memory() -> float:
    """Peak resident memory of this process in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


TURNS = {"encoder": encoder_alone, "memory": from_memory, "disk": from_disk}

if __name__ == "__main__":
    main()
