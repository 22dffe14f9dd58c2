"""Where a millisecond goes: the stages of captioning, by each engine.

usage: python benchmarks/stages.py [--pictures FOLDER] [--count N] [--rounds N] [--model NAME|FILE]
                                   [--engines NAME ...] [--batch-sizes N ...] [--processor-time]

Takes turns, in processes of their own, between engines, and prints milliseconds a picture, medians of the rounds:
reading from disk, the encoder, the decoder's steps, the search around them, and `caption`, all of these together, which
takes less than one after another where ONNX Runtime shares a batch among lanes; and what comes once: importing,
loading the model. `encoder` is torchvision's efficientnet_b4 alone, as torch runs it, for scale. `torch-float32` is
torch without bfloat16. Where ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2 stand in front of the command, torch
computes as on a processor that has no more; ONNX Runtime has no such switch.

With --processor-time the processor's time is counted, all threads together, and not the clock's: for a machine that
others use, too, at OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe
from photographs import make_photographs

ENGINES = ("encoder", "torch", "torch-float32", "onnx")
BATCHES = 2
"""Batches of each size in a turn; of single pictures, 8."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="base")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--turn", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(turn(options)))
        return

    less = [name for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS") if name in os.environ]
    print(f"machine: {describe()}{''.join(f', {name}={os.environ[name]}' for name in less)}")
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures is None:
            options.pictures = Path(folder)
            make_photographs(options.pictures, options.count)
        compare(options)


def compare(options: argparse.Namespace) -> None:
    turns_by_engine: dict[str, list[dict[str, float]]] = {name: [] for name in options.engines}
    for number in range(1, options.rounds + 1):
        for name, turns in turns_by_engine.items():
            arguments = [f"--{key}={getattr(options, key)}" for key in ("pictures", "count", "model")]
            arguments += [
                "--batch-sizes",
                *map(str, options.batch_sizes),
                *["--processor-time"] * options.processor_time,
            ]
            command = [sys.executable, __file__, f"--turn={name}", *arguments]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            turns.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number}, {name}: {line(turns[-1:])}", flush=True)
    for name, turns in turns_by_engine.items():
        print(f"{name}: {line(turns)}")


def line(turns: list[dict[str, float]]) -> str:
    """The median of each stage."""
    return ", ".join(f"{stage} {statistics.median(times[stage] for times in turns):.1f}" for stage in turns[0])


def turn(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of each stage: those that come once, and those of each picture by the size of its batch."""
    clock = time.process_time if options.processor_time else time.perf_counter
    if options.turn == "encoder":
        return encoder_alone(options.batch_sizes, clock)
    start = clock()
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.pictures.find import find_pictures
    from capcli.pictures.read import read_array

    seconds = {"import": clock() - start}
    start = clock()
    captioner = load(Captioner, options)
    seconds["load"] = clock() - start
    files = find_pictures([options.pictures]).pictures
    start = clock()
    arrays = np.stack([read_array(file, captioner.size) for file in files])
    seconds["read"] = (clock() - start) / len(files)
    for size in options.batch_sizes:
        batches = [arrays[first : first + size] for first in range(0, min(len(arrays), max(BATCHES * size, 8)), size)]
        for _ in range(2):  # of single pictures ONNX Runtime gets ready for more when the second one comes
            captioner.caption_arrays(batches[0])
        stages = [measure(captioner, batch, clock) for batch in batches]
        count = sum(map(len, batches))
        seconds |= {f"{stage} of {size}": sum(times[stage] for times in stages) / count for stage in stages[0]}
    return {stage: 1000 * value for stage, value in seconds.items()}


def load(kind: Any, options: argparse.Namespace) -> Any:
    if options.turn == "torch-float32":
        import torch

        from capcli.engines.torch_engine import TorchEngine
        from capcli.modelfile.checkpoint import Checkpoint
        from capcli.modelfile.shipped import find_model

        checkpoint = Checkpoint.load(find_model(options.model))
        return kind(TorchEngine(checkpoint, torch.device("cpu"), exact=True), checkpoint.manner, "")
    return kind.load(options.model, "cpu", engine=options.turn)


def measure(captioner: Any, batch: Any, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of the stages of one batch."""
    from capcli.decoding.beam import beam_search

    speaker = Timed(captioner._engine.speaker, clock)
    start = clock()
    regions = captioner.encode(batch)
    encoded = clock()
    beam_search(speaker, regions, captioner.options)
    whole = clock() - encoded
    start_of_all = clock()
    captioner.caption_arrays(batch)
    seconds = {"encoder": encoded - start, "decoder": speaker.seconds, "search": whole - speaker.seconds}
    return seconds | {"caption": clock() - start_of_all}


class Timed:
    """A speaker whose work is timed."""

    def __init__(self, speaker: Any, clock: Callable[[], float]) -> None:
        self._speaker, self._clock, self.seconds = speaker, clock, 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._speaker, name)

        def timed(*arguments: Any) -> Any:
            start = self._clock()
            try:
                return method(*arguments)
            finally:
                self.seconds += self._clock() - start

        return timed


def encoder_alone(sizes: list[int], clock: Callable[[], float]) -> dict[str, float]:
    import torch
    from torchvision.models import efficientnet_b4

    model, milliseconds = efficientnet_b4(weights=None).eval(), {}
    with torch.inference_mode():
        for size in sizes:
            images = torch.rand(size, 3, 224, 224)
            model(images)
            start = clock()
            for _ in range(BATCHES):
                model(images)
            milliseconds[f"encoder of {size}"] = 1000 * (clock() - start) / BATCHES / size
    return milliseconds


if __name__ == "__main__":
    main()
