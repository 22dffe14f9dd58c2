"""How much longer captions take into a library than into rows.

usage: python benchmarks/library_overhead.py FOLDER [--pictures N] [--repeat N] [--model NAME|FILE]

Captions the first N pictures of FOLDER (by default 300) with the installed command into rows and into a library, in
turns, and prints the seconds of each pair and the median of their ratios. The order within a pair changes from pair to
pair.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from machine import command, describe

from capcli.pictures.find import find_pictures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    pictures = find_pictures([options.folder]).pictures[: options.pictures]
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        caption(pictures[:20], Path(name) / "warm.jsonl", options.model)
        for turn in range(options.repeat):
            places = [Path(name) / f"{turn}.jsonl", Path(name) / f"{turn}.db"]
            order = places if turn % 2 else places[::-1]
            seconds = {place.suffix: caption(pictures, place, options.model) for place in order}
            ratios.append(seconds[".db"] / seconds[".jsonl"])
            print(f"rows {seconds['.jsonl']:.2f} s, library {seconds['.db']:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"{len(pictures)} pictures: the library takes {statistics.median(ratios) - 1:+.1%}")


def caption(pictures: Sequence[Path], output: Path, model: str) -> float:
    """Seconds that the command takes for some pictures."""
    start = time.perf_counter()
    run = [command(), "caption", "-0", "-", "-o", str(output), "--model", model, "-q"]
    subprocess.run(run, input="".join(f"{picture}\0" for picture in pictures).encode(), check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
