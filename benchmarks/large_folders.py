"""How soon `capcli caption` has a row of very many files, and what it needs to remember.

usage: python benchmarks/large_folders.py [--counts N ...] [--each N ...] [--cases CASE ...]

Makes folders of --counts hard links to small JPEGs in a temporary place, --each of them to a folder, where 0 stands for
all of them. It prints for each, and for each of --cases, with a captioner that says the same of every picture,

  first row  wall and processor seconds from the call of the command, its modules imported, to the first row that it
             writes; the call includes reading the first batches
  all paths  peak memory once every path went from the search through the plan into a row, unread, beside that of the
             same with one path, and the difference by path

each in a process of its own. The cases are

  rows       `-o rows.csv`
  sidecars   the same with `--sidecar txt --sidecar-dir out`
  beside     the same with `--sidecar txt`
  shard      the same with `--shard 1/4`
  jsonl, csv, library
             `--resume` of a file that holds rows of all pictures but every hundredth, which are the last ones
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from machine import describe

from capcli.speed.memory import peak_memory

CASES = {
    "rows": ["rows.csv"],
    "sidecars": ["rows.csv", "--sidecar", "txt", "--sidecar-dir", "out"],
    "beside": ["rows.csv", "--sidecar", "txt"],
    "shard": ["rows.csv", "--shard", "1/4"],
    "jsonl": ["rows.jsonl", "--resume"],
    "csv": ["rows.csv", "--resume"],
    "library": ["rows.db", "--resume"],
}
"""The output of each case, and the options with it."""

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
        fields = {"text": "a picture", "confidence": 0.5, "uncertain": False, "alternatives": (), "words": ()}
        return [SimpleNamespace(**fields, keywords=None) for _ in arrays]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 65_000])
    parser.add_argument("--each", type=int, nargs="+", default=[0, 1_000])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["rows"])
    parser.add_argument("--turn", choices=TURNS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        TURNS[options.turn](options.folder, options.cases[0])
        return

    print(f"machine: {describe()}")
    for capacity in options.each:
        with folder_of(1, capacity) as folder:
            least = {case: measure(folder, case)[1]["peak"] for case in options.cases}
        for count in options.counts:
            with folder_of(count, capacity) as folder:
                for case in options.cases:
                    row, paths = measure(folder, case)
                    more = paths["peak"] - least[case]
                    print(
                        f"{case}: {count:,} files, {f'{capacity:,} to a folder' if capacity else 'all in one folder'}: "
                        f"first row after {row['wall']:.2f} s ({row['processor']:.2f} s of the processor); "
                        f"all paths in {paths['wall']:.1f} s, peak memory {paths['peak'] / 1e6:.0f} MB, "
                        f"{more / 1e6:.0f} MB more than with one path, {more / count:.0f} bytes a path",
                        flush=True,
                    )


def measure(folder: Path, case: str) -> tuple[dict[str, float], dict[str, float]]:
    """What it takes to the first row, and to all paths."""
    found = []
    # The file system's cache is warm after the first one.
    for name in ("first", "first", "paths"):
        with tempfile.TemporaryDirectory() as place:
            if "--resume" in CASES[case]:
                turn("earlier", folder, case, place)
            found.append(turn(name, folder, case, place))
        for sidecar in folder.rglob("*.txt"):
            sidecar.unlink()
    return found[1], found[2]


@contextmanager
def folder_of(count: int, capacity: int) -> Iterator[Path]:
    """A folder with so many pictures, so many to a sub-folder."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        for number in range(count):
            source, below = Path(place, f"{number // LINKS}.jpg"), folder / str(number // capacity if capacity else 0)
            if number % LINKS == 0:
                Image.new("RGB", (32, 32), (90, 120, 200)).save(source)
            if number % (capacity or count) == 0:
                below.mkdir(parents=True)
            os.link(source, below / f"IMG_{number:07}.jpg")
        yield folder


def turn(name: str, folder: Path, case: str, place: str) -> dict[str, float]:
    """Takes a turn in a process of its own, in a place."""
    program = Path(__file__).resolve()
    given = [f"--turn={name}", f"--folder={folder}", f"--cases={case}"]
    done = subprocess.run([sys.executable, program, *given], cwd=place, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def earlier(folder: Path, case: str) -> None:
    """Keeps results of all pictures but the last ones, as an earlier run would have left them."""
    from capcli.library.keeping import LibraryFile
    from capcli.output import Result
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.pictures.options import InputOptions

    found, base = InputOptions(recursive=True).find([str(folder)])
    count = sum(1 for _ in found)
    options = OutputOptions(output=Path(CASES[case][0]))
    with Outputs(options, sys.stdout.buffer, base, open_library=LibraryFile) as outputs:
        for picture in islice(found, count - count // 100 - 1):
            outputs.write(Result(picture, ("a picture",), (0.5,), "says"))
    print(json.dumps({}))


def first_row(folder: Path, case: str) -> None:
    """Prints how long the command takes to its first row, and leaves it there."""
    import capcli.pictures.stream  # noqa: F401 - imported before the time is taken
    from capcli.cli import main as run
    from capcli.library.keeping import LibraryFile
    from capcli.output.rows import RowFile

    kind: Any = LibraryFile if case == "library" else RowFile
    write = kind.write

    def tell(rows: Any, result: Any) -> None:
        write(rows, result)
        seconds = {"wall": time.perf_counter() - start[0], "processor": time.process_time() - start[1]}
        sys.stdout.write(json.dumps(seconds) + "\n")
        sys.stdout.flush()
        os._exit(0)

    kind.write = tell
    sys.argv = ["capcli", "caption", "-r", str(folder), "-o", *CASES[case]]
    start = time.perf_counter(), time.process_time()
    run(Says().load)


def all_paths(folder: Path, case: str) -> None:
    """Prints how long every path takes from the search to its row, without reading and model, and the memory."""
    from capcli.library.keeping import LibraryFile
    from capcli.output import Result
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.pictures.options import InputOptions
    from capcli.runs.options import SharingOptions
    from capcli.runs.plan import Plan

    start = time.perf_counter()
    output, *chosen = CASES[case]
    options = OutputOptions(
        output=Path(output),
        sidecar=("txt",) if "--sidecar" in chosen else (),
        sidecar_dir=Path("out") if "--sidecar-dir" in chosen else None,
        resume="--resume" in chosen,
    )
    sharing = SharingOptions(shard="1/4" if "--shard" in chosen else None)
    found, base = InputOptions(recursive=True).find([str(folder)])
    with Outputs(options, sys.stdout.buffer, base, open_library=LibraryFile) as outputs:
        share = sharing.share(found, base)
        pictures = found if share is None else share.pictures
        if share is not None:
            share.write(Path(output))
        together = None if share is None else share.together(16)
        how: Any = {"together": together, "notes": lambda: found.notes}
        for picture in Plan(pictures, outputs.survey(pictures), outputs.settled, 16, **how):
            if picture is not None:
                outputs.write(Result(picture, ("a picture",), (0.5,), "says"))
    print(json.dumps({"wall": time.perf_counter() - start, "peak": peak_memory()}))


TURNS = {"first": first_row, "paths": all_paths, "earlier": earlier}

if __name__ == "__main__":
    main()
