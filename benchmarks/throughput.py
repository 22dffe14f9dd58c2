"""Photographs captioned per second from disk, beside the model fed from memory and the encoder alone.

usage: python benchmarks/throughput.py [--pictures FOLDER] [--count N] [--rounds N] [--model NAME|FILE]
                                       [--batch-size N] [--engine NAME]

Takes turns, in processes of their own, between

  encoder  the kind of encoder that the model has, alone, from torchvision (efficientnet_b4 for base): fp32, random
           pixels from memory, 16 at once whatever --batch-size says
  memory   capcli's model, encoder and beam search, on pictures that lie prepared in memory
  folder   what `capcli caption FOLDER -o rows.jsonl` does at its defaults, from the list of paths to the last row
           written: reading, decoding of JPEGs, resizing, encoding, beam search, output. Start-up is left out (the
           interpreter, imports, loading the model and one picture to warm up); the time of the whole process
           is printed too.

and prints images per second of each for every round, their ratios, and the peak resident memory of the process
that captions from disk. Of --pictures the first --count are taken. Without it, JPEGs of 640 x 480 are cropped from
examples/ and from the photographs in scikit-image, if that is installed. Each uses as many threads as there are cores;
OMP_NUM_THREADS changes that.
`capcli bench` measures the same without memory, and the first caption besides, on pictures that it makes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from machine import describe
from photographs import make_photographs

from capcli.model.options import BATCH, ModelOptions
from capcli.speed.turns import Work, take_turn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    model = ModelOptions(options.model, device="cpu", engine=options.engine, batch_size=options.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures is None:
            make_photographs(Path(folder), options.count)
        compare(Work(model, options.pictures or Path(folder), options.count), options.rounds)


def compare(work: Work, count: int) -> None:
    rounds = []
    for number in range(1, count + 1):
        encoder, memory, disk = (take_turn(name, work) for name in ("encoder", "memory", "folder"))
        rounds.append((encoder["rate"], memory["rate"], disk["rate"], disk["peak"] / 1e9))
        print(
            f"round {number}: encoder alone {encoder['rate']:.2f} images/s; from memory {memory['rate']:.2f}; "
            f"from disk {disk['rate']:.2f} ({disk['pictures']} photographs, {disk['failed']} failed, model "
            f"{disk['model']}, batch {work.model.batch_size}, beam {disk['beam_size']}, {disk['engine']}); disk/memory "
            f"{disk['rate'] / memory['rate']:.3f}; disk/encoder {disk['rate'] / encoder['rate']:.2f}; peak memory "
            f"{disk['peak'] / 1e9:.2f} GB; whole process {disk['whole']:.1f} s",
            flush=True,
        )
    middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(
        f"median of {len(rounds)}: encoder alone {middle[0]:.2f} images/s; from memory {middle[1]:.2f}; from disk "
        f"{middle[2]:.2f}; disk/memory {statistics.median(d / m for _, m, d, _ in rounds):.3f}; "
        f"disk/encoder {statistics.median(d / e for e, _, d, _ in rounds):.2f}; "
        f"peak memory {max(peak for *_, peak in rounds):.2f} GB"
    )


if __name__ == "__main__":
    main()
