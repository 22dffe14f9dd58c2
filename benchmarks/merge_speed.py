"""How long shards take to be made ready and merged, and how large rows are.

usage: python benchmarks/merge_speed.py [--pictures N] [--shards N]

Writes rows of made-up captions as shards, merges them by the installed command and prints seconds, rows per second,
peak memory and bytes per row of JSON lines and of Parquet; and how many paths a shard looks at in a second.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from machine import command, describe

from capcli.output import Result
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.output.shard import Shard, Share

WORDS = ("a", "man", "in", "red", "standing", "on", "the", "grass", "with", "two", "dogs", "near", "water", "while")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=64)
    options = parser.parse_args()
    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        pictures = [base / f"{number // 1000:04}" / f"photo_{number:08}.jpg" for number in range(options.pictures)]
        start = time.perf_counter()
        shares = [Share.of(Shard(number, options.shards), pictures, base) for number in (1,)]
        print(f"a shard looks at {len(pictures) / (time.perf_counter() - start):,.0f} paths/s")
        shares += [Share.of(Shard(number, options.shards), pictures, base) for number in range(2, options.shards + 1)]
        for ending in ("jsonl", "parquet"):
            merge(base, shares, ending)


def merge(base: Path, shares: list[Share], ending: str) -> None:
    chance, paths = random.Random(0), []
    for share in shares:
        paths.append(base / f"part{share.shard.number}.{ending}")
        with Outputs(OutputOptions(output=paths[-1]), io.BytesIO(), base, shard=share.shard) as outputs:
            for picture in share.pictures:
                sentence = " ".join(chance.choices(WORDS, k=10)).capitalize() + "."
                outputs.write(Result(picture, (sentence,), (chance.random(),), "base"))
            outputs.kept[0].complete()
        share.ended(set()).write(paths[-1])
    whole = base / f"whole.{ending}"
    start = time.perf_counter()
    subprocess.run([command(), "merge", str(whole), *map(str, paths)], check=True, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - start
    files = [whole] if whole.is_file() else list(whole.glob("part-*"))
    size = sum(file.stat().st_size for file in files) / shares[0].total
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{ending}: {len(shares)} shards of {shares[0].total:,} rows merged in {taken:.1f} s, "
        f"{shares[0].total / taken:,.0f} rows/s; {size:.0f} bytes a row; peak memory {peak:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
