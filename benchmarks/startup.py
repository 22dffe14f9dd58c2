"""How long a user waits before anything happens.

usage: python benchmarks/startup.py [--photo FILE] [--repeats N] [--engine NAME]

Prints the wall time of `capcli --help`, whether it imports torch, and the wall time and peak resident memory of
`capcli caption FILE` for a single photograph on the CPU, each a fresh process of the installed command; and in turns
with it the time of `python -c "import torch"`, with the ratio of the two, which a busy machine changes less. The disk
cache is warm: every command runs once before it is timed, and that first time is printed too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from machine import command, describe

from capcli.speed.turns import time_command

PHOTO = Path(__file__).parents[1] / "examples" / "cat.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()

    capcli = command()
    print(f"machine: {describe()}")
    report("capcli --help", [capcli, "--help"], options.repeats)
    print(f"capcli --help imports torch: {'yes' if imports_torch([capcli, '--help']) else 'no'}")
    caption = [capcli, "caption", "--device", "cpu", "--engine", options.engine, str(options.photo)]
    print(f"capcli caption {options.photo.name} imports torch: {'yes' if imports_torch(caption) else 'no'}")
    report(f"capcli caption {options.photo.name}", caption, min(options.repeats, 5))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory of one photograph: {peak / 1e9:.2f} GB")
    torch = [sys.executable, "-c", "import torch"]
    time_command(torch)
    pairs = [(time_command(caption)[1], time_command(torch)[1]) for _ in range(min(options.repeats, 5))]
    times = " and ".join(f"{statistics.median(column):.3f} s" for column in zip(*pairs, strict=True))
    ratio = statistics.median(captioning / importing for captioning, importing in pairs)
    print(f"in turns, this photograph and python -c 'import torch': medians {times}, ratio {ratio:.2f}")


def report(title: str, arguments: list[str], repeats: int) -> None:
    first, *times = (time_command(arguments)[1] for _ in range(1 + repeats))
    print(
        f"{title}: median {statistics.median(times):.3f} s, fastest {min(times):.3f} s, "
        f"slowest {max(times):.3f} s of {repeats}; the first {first:.3f} s"
    )


def imports_torch(arguments: list[str]) -> bool:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    return any(line.rpartition("|")[2].strip() == "torch" for line in done.stderr.splitlines())


if __name__ == "__main__":
    main()
