"""Whether shards that are merged equal the undisturbed run, row for row, with a real model.

usage: python benchmarks/shards.py [--pictures FOLDER] [--count N] [--shards N] [--model NAME|FILE] [--batch-size N]
                                   [--engine auto|onnx|torch]

Captions photographs once as a whole and once in shards, some of which it cuts off in the middle and resumes, merges the
shards by the installed command, and compares the files byte for byte. The model is loaded once for all.
Without --pictures, JPEGs of 640 x 480 are made; every twentieth is broken. The exit code is 1 if the files differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import command, describe
from photographs import make_photographs

from capcli.captioner import Captioner
from capcli.model.options import ModelOptions
from capcli.modelfile.shipped import find_model
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.output.shard import Shard, Share
from capcli.runs.session import Session
from capcli.runs.writing import WriteCaptions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.pictures is None:
            options.pictures = folder / "photographs"
            options.pictures.mkdir()
            make_photographs(options.pictures, options.count)
            for path in sorted(options.pictures.iterdir())[7::20]:
                path.write_bytes(b"no picture")
        pictures = sorted(options.pictures.glob("*.jpg"))[: options.count]
        place = ModelOptions(model=options.model, device="cpu", batch_size=options.batch_size)
        captioner = Captioner.of_file(find_model(options.model), "cpu", engine=options.engine)
        print(f"machine: {describe()}; {captioner.precision[0]}, {len(pictures)} pictures, {options.shards} shards")
        caption(place, captioner, folder / "whole.jsonl", pictures, None, options.pictures)
        paths = [folder / f"part{number}.jsonl" for number in range(1, options.shards + 1)]
        for number, path in enumerate(paths, 1):
            share = Share.of(Shard(number, options.shards), pictures, options.pictures)
            caption(place, captioner, path, list(share.pictures), share, options.pictures)
            if number % 4 == 0 and path.stat().st_size:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                caption(place, captioner, path, list(share.pictures), share, options.pictures)
        merged = folder / "merged.jsonl"
        subprocess.run([command(), "merge", str(merged), *map(str, paths)], check=True)
        equal = merged.read_bytes() == (folder / "whole.jsonl").read_bytes()
    print(f"the merged file {'equals' if equal else 'DIFFERS FROM'} the undisturbed one")
    sys.exit(not equal)


def caption(
    place: ModelOptions, captioner: Captioner, output: Path, pictures: list[Path], share: Share | None, base: Path
) -> None:
    options = OutputOptions(output=output, resume=True)
    shard = None if share is None else share.shard
    with Outputs(options, sys.stdout.buffer, base, shard=shard) as outputs:
        job = WriteCaptions(outputs, share=share)
        with Session(place, load=lambda _: captioner) as session:
            session.run(job, pictures, share=share)
        job.complete()


if __name__ == "__main__":
    main()
