"""How time and memory of a batch grow with the number of files.

usage: python benchmarks/growth.py [--counts 200,2000,20000] [--model NAME|FILE]

Captions folders of so many files (a few hundred different photographs of 640 x 480 under many names) with the
installed command, writing rows to a file, and prints for each: seconds for a file, without start-up; peak resident
memory of the process that captions, of the largest process that reads, and the seconds that a resumed run takes to
find that there is nothing left to do.

The default model is one made for this purpose, a small encoder with random weights, so that what is measured is
finding, reading, handing over and writing, and not the model that is the same for every picture; --model base takes
the shipped one, and hours.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from machine import command, describe
from photographs import make_photographs

DIFFERENT = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--counts", default="200,2000,20000")
    parser.add_argument("--model")
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or str(small_model(folder / "small.safetensors"))
        print(f"model: {options.model or 'small, random weights'}")
        photographs = folder / "photographs"
        photographs.mkdir()
        make_photographs(photographs, DIFFERENT)
        for count in counts:
            pictures = folder / str(count)
            pictures.mkdir()
            files = sorted(photographs.iterdir())
            for number in range(count):
                os.link(files[number % len(files)], pictures / f"{number:06}.jpg")
            measure(pictures, count, model, folder / f"{count}.jsonl")


def measure(pictures: Path, count: int, model: str, rows: Path) -> None:
    arguments = [command(), "caption", str(pictures), "--model", model, "-o", str(rows), "--resume"]
    before = children()
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=True)
    summary = re.search(r"captioned ([0-9,]+), skipped 0, failed 0, ([0-9.]+) images/s", done.stderr)
    if not summary or int(summary[1].replace(",", "")) != count or len(rows.read_bytes().splitlines()) != count:
        raise SystemExit(f"not every picture has its row: {done.stderr}")
    start = time.perf_counter()
    subprocess.run(arguments, stderr=subprocess.DEVNULL, check=True)
    again = time.perf_counter() - start
    print(
        f"{count:6} files: {1000 / float(summary[2]):.2f} ms a file, {summary[2]} images/s; peak memory of any process "
        f"{max(children(), before) / 1e9:.3f} GB; resumed with nothing to do {again:.2f} s",
        flush=True,
    )


def children() -> float:
    """Peak resident memory in bytes of the largest process that this one has started and waited for."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def small_model(path: Path) -> Path:
    import torch

    from capcli.decoding.options import DecodingOptions
    from capcli.model.encoder import EncoderConfig
    from capcli.model.network import CaptioningModel, ModelConfig
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.words.vocabulary import SPECIALS, Vocabulary

    torch.manual_seed(0)
    decoder = {"name": "transformer", "width": 16, "heads": 2, "layers": 1}
    words = Vocabulary([*SPECIALS, "a", "dog", "cat", "runs", "on", "grass"])
    model = CaptioningModel(ModelConfig(EncoderConfig("mobilenet_v3_small", 64), decoder), words).eval()
    Checkpoint(model, DecodingOptions(beam_size=1, max_length=6)).save(path)
    return path


if __name__ == "__main__":
    main()
