"""A dev split for a data set that has none, of the pictures that can be judged by best: those with most captions.

usage: python benchmarks/hold_out.py DATASET -o FILE.jsonl [--captions 5] [--share 0.5]

DATASET is anything `capcli train --data` reads. FILE names its pictures by their paths, and those with at least
CAPTIONS captions whose file name's hash falls below SHARE are its dev split; all others are its train split.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from capcli.datasets import read_dataset
from capcli.datasets.dataset import is_held_out
from capcli.errors import CapcliError, UsageError, system_reason


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    parser.add_argument("--captions", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.5)
    options = parser.parse_args()
    try:
        items = read_dataset(options.dataset).items
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    held = 0
    try:
        output = options.output.open("x", encoding="utf-8")
    except OSError as error:
        print(f"{options.output}: {system_reason(error)}", file=sys.stderr)
        raise SystemExit(UsageError.exit_code) from None
    with output as file:
        for item in items:
            judged = len(item.captions) >= options.captions and is_held_out(item.image, options.share)
            held += judged
            split = "dev" if judged else "train"
            for caption in item.captions:
                print(json.dumps({"image": str(item.image.resolve()), "caption": caption, "split": split}), file=file)
    print(f"{held:,} of {len(items):,} pictures are held out")


if __name__ == "__main__":
    main()
