"""Images per second of base beside captioners of Hugging Face, each at its best batch, in turns.

usage: python benchmarks/peers.py [--peers NAME ...] [--batches N ...] [--rounds N] [--pictures N] [--words N]
                                  [--model NAME|FILE] [--engine NAME]

Makes blip-base, git-base and vit-gpt2 with random weights of the shapes that their checkpoints have, in float32, and
times `generate` on prepared pictures from memory: greedy, with exactly --words new tokens, so that each decodes as many
as a caption has words. The batch of --batches that is fastest counts. Then it takes turns, in one process,
between a batch of the peer and --pictures prepared pictures through capcli's captioner with its own beam search, in
batches of 32, the default, and prints images per second of both in each round and the median of the rounds' ratios.
Reading pictures takes no time of either. torch uses as many threads as it chooses; set OMP_NUM_THREADS to change it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from hf_overhead import make_blip, make_git, make_vit_gpt2
from machine import describe

from capcli.model.options import BATCH

PEERS: dict[str, tuple[Callable[[], tuple[Any, list[Any]]], int]] = {
    "blip-base": (lambda: make_blip("blip-base"), 384),
    "git-base": (make_git, 224),
    "vit-gpt2": (make_vit_gpt2, 224),
}
"""How a model is made, and the side of its pictures."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("--model", default="base")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    capcli = prepare_capcli(options)
    for name in options.peers:
        compare(name, capcli, options)


def prepare_capcli(options: argparse.Namespace) -> Callable[[], float]:
    """What captions pictures by capcli, warm, and gives the images per second."""
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.modelfile.shipped import find_model
    from capcli.speed.in_memory import measure
    from capcli.speed.made_pictures import made_pictures

    captioner = Captioner.of_file(find_model(options.model), "cpu", engine=options.engine)
    arrays = np.stack([captioner.prepare(picture) for picture in made_pictures(options.pictures)])
    description = f"{captioner.name}, {captioner.engine}, beam {captioner.options.beam_size}"
    print(f"capcli: {description}, {len(arrays)} pictures in batches of {BATCH}")
    return lambda: measure([captioner], [arrays], BATCH, rounds=1).rate(0)


def compare(name: str, capcli: Callable[[], float], options: argparse.Namespace) -> None:
    import torch

    torch.manual_seed(0)
    build, side = PEERS[name]
    model = build()[0].eval()
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    generate(model, side, 1, 1)
    rates = {batch: generate(model, side, batch, options.words) for batch in options.batches}
    best = max(rates, key=lambda batch: rates[batch])
    by_batch = ", ".join(f"{rate:.2f} at {batch}" for batch, rate in rates.items())
    print(f"{name}, {count:.0f} M parameters, images/s by batch: {by_batch}", flush=True)
    ratios = []
    for number in range(1, options.rounds + 1):
        peer, ours = generate(model, side, best, options.words), capcli()
        ratios.append(ours / peer)
        print(f"round {number}: {name} {peer:.2f} images/s, capcli {ours:.2f}, ratio {ratios[-1]:.1f}", flush=True)
    middle = statistics.median(ratios)
    print(f"capcli over {name} at batch {best}: median {middle:.1f}, from {min(ratios):.1f} to {max(ratios):.1f}")


def generate(model: Any, side: int, batch: int, words: int) -> float:
    """Images per second of one batch, with so many new tokens each."""
    import torch

    pixels = torch.rand(batch, 3, side, side)
    start = time.perf_counter()
    with torch.inference_mode():
        generated = model.generate(
            pixel_values=pixels, min_new_tokens=words, max_new_tokens=words, num_beams=1, do_sample=False
        )
    taken = time.perf_counter() - start
    if len(generated) != batch or generated.shape[1] < words:
        raise SystemExit(f"it gave {tuple(generated.shape)} tokens in place of {batch} x {words}")
    return batch / taken


if __name__ == "__main__":
    main()
