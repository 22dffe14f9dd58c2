"""Whether a run that is killed again and again loses nothing.

usage: python benchmarks/kills.py [--kills N] [--pictures N] [--batch-size N] [--format NAME] [--seed N]
                                  [--model NAME|FILE]

Captions photographs of 640 x 480 with the installed command twice: once undisturbed, and once killed (SIGKILL) at
random moments, of its start as well as of its work, and resumed each time. Prints when each kill came and how much was
written, and at the end whether the files are equal: byte for byte, or for a library row by row, with nothing that
`capcli library check` finds. The exit code is 1 if they are not. Should a run come to its end before all kills are
done, the rest of them fall on another one.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import command, describe
from photographs import make_photographs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--format", choices=("jsonl", "csv", "json", "tsv", "library"), default="jsonl")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs, undisturbed = folder / "photographs", folder / "undisturbed"
        photographs.mkdir()
        make_photographs(photographs, options.pictures)
        run = [command(), "caption", str(photographs), "--resume", "--model", options.model]
        run += ["--format", options.format, "--batch-size", str(options.batch_size), "-o"]

        start = time.perf_counter()
        with subprocess.Popen([*run, str(undisturbed)], stderr=subprocess.DEVNULL) as process:
            wait_for_growth(undisturbed, process)
            starting = time.perf_counter() - start
        whole = time.perf_counter() - start
        if process.returncode != 0:
            raise SystemExit(f"the undisturbed run failed with exit code {process.returncode}")
        print(f"undisturbed: {options.pictures} photographs in {whole:.1f} s, the first rows after {starting:.1f} s")

        batch = (whole - starting) * options.batch_size / options.pictures
        equal = all(ends(run, folder / "rows", content(undisturbed), options, starting, batch))
    print(f"{options.kills} kills: the final file {'equals' if equal else 'DIFFERS FROM'} the undisturbed one")
    sys.exit(not equal)


def ends(
    run: list[str], rows: Path, undisturbed: bytes, options: argparse.Namespace, starting: float, batch: float
) -> Iterator[bool]:
    """Kills and resumes; says of each run that came to its end whether its file equals the undisturbed one.

    Args:
        run: the command without the file that it writes.
        rows: that file.
        undisturbed: what it should hold in the end.
        options: `kills` and `seed`.
        starting: seconds that the command takes until its first rows.
        batch: seconds that it takes for a batch.
    """
    chance, kills = random.Random(options.seed), 0
    while kills < options.kills:
        start = time.perf_counter()
        process = subprocess.Popen([*run, str(rows)], stderr=subprocess.DEVNULL)
        if chance.random() < 1 / 3:
            time.sleep(chance.uniform(0, starting))
        else:
            wait_for_growth(rows, process)
            time.sleep(chance.uniform(0, 2 * batch))
        process.kill()
        if process.wait() == -signal.SIGKILL:
            kills += 1
            event = f"kill {kills} after {time.perf_counter() - start:.2f} s: "
            print(f"{event}{size(rows):,} bytes of rows", flush=True)
        else:
            yield content(rows) == undisturbed
            rows.unlink()
    subprocess.run([*run, str(rows)], stderr=subprocess.DEVNULL, check=True)
    yield content(rows) == undisturbed


def wait_for_growth(rows: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until a run has written something, or is over."""
    before = size(rows)
    while size(rows) <= before and process.poll() is None:
        time.sleep(0.001)


def size(rows: Path) -> int:
    """Bytes of the file, and of what SQLite writes before it writes a library."""
    return sum(file.stat().st_size for file in (rows, rows.with_name(f"{rows.name}-wal")) if file.exists())


def content(rows: Path) -> bytes:
    """What a file holds; of a library the rows, and what is wrong with it."""
    if not rows.read_bytes().startswith(b"SQLite"):
        return rows.read_bytes()
    commands = [
        [command(), "library", "export", str(rows), "--format", "jsonl"],
        [command(), "library", "check", str(rows)],
    ]
    return b"".join(subprocess.run(arguments, stdout=subprocess.PIPE).stdout for arguments in commands)


if __name__ == "__main__":
    main()
