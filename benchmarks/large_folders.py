"""How soon `capcli caption` has a row of very many files, and what it needs to remember.

usage: python benchmarks/large_folders.py [--counts N ...] [--each N ...] [--options TEXT]

Makes folders of --counts hard links to small JPEGs in a temporary place, --each of them to a folder, where 0 stands for
all of them. It prints for each, with a captioner that says the same of every picture,

  first row  wall and processor seconds from the call of the command, its modules imported, to the first row in
             `-o rows.csv`; the call includes reading the first batches
  all paths  peak memory once every path went from the search through the plan into a row, unread, beside that of the
             same with one path, and the difference by path

each in a process of its own, in an empty folder. --options are given to `capcli caption`, such as
--options="--sidecar txt --sidecar-dir out".
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from machine import describe

from capcli.speed.memory import peak_memory

LINKS = 30_000
"""To one file: some file systems take no more than 65,000."""


class Says:
    """A captioner that says the same of every picture, and needs no time for it."""

    name, device, size, keeps_proportions, matches, notes = "says", "cpu", 8, False, False, ()

    def __init__(self) -> None:
        from capcli.decoding.options import DecodingOptions

        self.options = DecodingOptions()

    def load(self, place: Any) -> Any:
        return self

    def check(self, options: Any) -> None:
        """Every option is good."""

    def caption_arrays(self, arrays: Any, options: Any, chooser: Any = None) -> list[Any]:
        said = {"text": "a picture", "confidence": 0.5, "uncertain": False, "alternatives": (), "words": ()}
        return [SimpleNamespace(**said, keywords=None) for _ in arrays]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 65_000])
    parser.add_argument("--each", type=int, nargs="+", default=[0, 1_000])
    parser.add_argument("--options", type=shlex.split, default=[])
    parser.add_argument("--turn", choices=TURNS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        TURNS[options.turn](options.folder, options.options)
        return

    print(f"machine: {describe()}")
    for each in options.each:
        with folder_of(1, each) as folder:
            least = turn("paths", folder, [])["peak"]
        for count in options.counts:
            with folder_of(count, each) as folder:
                turn("first", folder, options.options)  # the file system's cache is warm after that
                row, paths = turn("first", folder, options.options), turn("paths", folder, [])
            more = paths["peak"] - least
            print(
                f"{count:,} files, {f'{each:,} to a folder' if each else 'all in one folder'}: first row after "
                f"{row['wall']:.2f} s ({row['processor']:.2f} s of the processor); all paths in {paths['wall']:.1f} s, "
                f"peak memory {paths['peak'] / 1e6:.0f} MB, {more / 1e6:.0f} MB more than with one path, "
                f"{more / count:.0f} bytes a path",
                flush=True,
            )


@contextmanager
def folder_of(count: int, each: int) -> Iterator[Path]:
    """A folder with so many pictures, so many to a sub-folder."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        for number in range(count):
            source, below = Path(place, f"{number // LINKS}.jpg"), folder / str(number // each if each else 0)
            if number % LINKS == 0:
                Image.new("RGB", (32, 32), (90, 120, 200)).save(source)
            if number % (each or count) == 0:
                below.mkdir(parents=True)
            os.link(source, below / f"IMG_{number:07}.jpg")
        yield folder


def turn(name: str, folder: Path, chosen: list[str]) -> dict[str, float]:
    """Takes a turn in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        given = [f"--turn={name}", f"--folder={folder}", f"--options={shlex.join(chosen)}"]
        program = Path(__file__).resolve()
        done = subprocess.run([sys.executable, program, *given], cwd=place, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def first_row(folder: Path, chosen: list[str]) -> None:
    """Prints how long the command takes to its first row, and leaves it there."""
    import capcli.pictures.stream  # noqa: F401 - imported before the time is taken
    from capcli.cli import main as run
    from capcli.output.rows import RowFile

    write = RowFile.write

    def tell(rows: RowFile, result: Any) -> None:
        write(rows, result)
        told = {"wall": time.perf_counter() - start[0], "processor": time.process_time() - start[1]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        os._exit(0)

    RowFile.write = tell  # type: ignore[method-assign, assignment]
    sys.argv = ["capcli", "caption", "-r", str(folder), "-o", "rows.csv", *chosen]
    start = time.perf_counter(), time.process_time()
    run(Says().load)


def all_paths(folder: Path, _: list[str]) -> None:
    """Prints how long every path takes from the search to its row, without reading and model, and the memory."""
    from capcli.output import Result
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.pictures.options import InputOptions
    from capcli.runs.plan import Plan

    start = time.perf_counter()
    found, base = InputOptions(recursive=True).find([str(folder)])
    with Outputs(OutputOptions(output=Path("rows.csv")), sys.stdout.buffer, base) as outputs:
        for picture in Plan(found, outputs.survey(found), outputs.settled, 16, notes=lambda: found.notes):
            if picture is not None:
                outputs.write(Result(picture, ("a picture",), (0.5,), "says"))
    print(json.dumps({"wall": time.perf_counter() - start, "peak": peak_memory()}))


TURNS = {"first": first_row, "paths": all_paths}

if __name__ == "__main__":
    main()
