"""Photographs captioned per second, beside what the encoder alone can do.

usage: python benchmarks/throughput.py [--pictures FOLDER] [--count N] [--rounds N] [--model NAME|FILE]
                                       [--batch-size N]

Takes turns, in processes of their own, between

  encoder  torchvision's efficientnet_b4 alone: fp32, random pixels of 224 x 224 from memory, batches of 16
  capcli   what `capcli caption FOLDER` does at its defaults, from the list of paths to the last line written:
           file reading, decoding of JPEGs, resizing, encoding, beam search, output. Start-up is left out (the
           interpreter, imports, loading the model and one picture to warm up); the time of the whole process
           is printed too.

and prints images per second of both for each round, their ratio, and the peak resident memory of the
captioning process. Without --pictures, JPEGs of 640 x 480 are cropped from examples/ and from the photographs in
scikit-image, if that is installed. Both use as many threads as torch chooses; set OMP_NUM_THREADS to change it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe

EXAMPLES = Path(__file__).parents[1] / "examples"
FROM_SCIKIT_IMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
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
    parser.add_argument("--turn", choices=TURNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(TURNS[options.turn](options)))
        return

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures is None:
            options.pictures = Path(folder)
            make_pictures(options.pictures, options.count)
        compare(options)


def compare(options: argparse.Namespace) -> None:
    rounds = []
    for number in range(1, options.rounds + 1):
        encoder, capcli = turn("encoder", options), turn("capcli", options)
        rounds.append((encoder["rate"], capcli["rate"], capcli["peak_gb"]))
        print(
            f"round {number}: encoder alone {encoder['rate']:.2f} images/s; capcli {capcli['rate']:.2f} images/s "
            f"({capcli['pictures']} photographs, {capcli['failed']} failed, {capcli['setting']}); "
            f"ratio {capcli['rate'] / encoder['rate']:.2f}; peak memory {capcli['peak_gb']:.2f} GB; "
            f"whole process {capcli['whole']:.1f} s",
            flush=True,
        )
    encoder_rate, capcli_rate = (statistics.median(column) for column in list(zip(*rounds, strict=True))[:2])
    ratio = statistics.median(captioning / alone for alone, captioning, _ in rounds)
    print(
        f"median of {len(rounds)}: encoder alone {encoder_rate:.2f} images/s; capcli {capcli_rate:.2f} images/s; "
        f"ratio {ratio:.2f}; peak memory {max(peak for *_, peak in rounds):.2f} GB"
    )


def turn(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Takes a turn in a process of its own, so that neither warms caches or fills memory for the other."""
    chosen = {"pictures": options.pictures, "count": options.count, "model": options.model}
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


def captioning(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from capcli.captioner import Captioner
    from capcli.cli.caption import run
    from capcli.output.text import TextWriter
    from capcli.pictures.find import find_pictures

    captioner = Captioner.load(options.model, "cpu")
    pictures = find_pictures([options.pictures])
    captioner.caption(pictures[0])
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        failed = run(
            captioner,
            pictures,
            TextWriter(output),
            options=captioner.options,
            batch_size=options.batch_size,
        )
        taken = time.perf_counter() - start
    return {
        "rate": len(pictures) / taken,
        "pictures": len(pictures),
        "failed": failed,
        "peak_gb": peak_memory() / 1e9,
        "setting": f"model {captioner.name}, batch {options.batch_size}, beam {captioner.options.beam_size}, "
        f"{precision(captioner)}, {torch.get_num_threads()} threads",
    }


def precision(captioner: Any) -> str:
    from capcli.model.device import bfloat16_pays

    return "bfloat16 encoder" if bfloat16_pays(captioner.device) else "float32"


def peak_memory() -> float:
    """Peak resident memory of this process in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def make_pictures(folder: Path, count: int) -> None:
    """Writes `count` JPEGs of 640 x 480, random crops and mirrorings of a few photographs, always the same."""
    from PIL import Image

    sources = sorted(EXAMPLES.glob("*.jpg"))
    found = importlib.util.find_spec("skimage")
    if found and found.origin:
        data = Path(found.origin).parent / "data"
        sources += [data / name for name in FROM_SCIKIT_IMAGE if (data / name).is_file()]
    if not sources:
        raise SystemExit(f"no photographs in {EXAMPLES}; name a folder with --pictures")
    photographs = [Image.open(source).convert("RGB") for source in sources]
    chance = random.Random(1)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        share = chance.uniform(0.6, 1.0)
        width, height = round(photograph.width * share), round(photograph.height * share)
        left, top = (
            chance.randint(0, photograph.width - width),
            chance.randint(0, photograph.height - height),
        )
        crop = photograph.resize((640, 480), box=(left, top, left + width, top + height))
        if chance.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crop.save(folder / f"{number:04}.jpg", quality=90)


TURNS = {"encoder": encoder_alone, "capcli": captioning}

if __name__ == "__main__":
    main()
