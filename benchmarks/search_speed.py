"""How long a search of a large library takes, how much memory, and what an index of vectors changes.

usage: python benchmarks/search_speed.py --sentences FILE [--pictures N] [--repeat N] [--model NAME]
                                         [--spread LIBRARY] [--index] [--queries N]

Makes a library of N pictures (by default 100,000) whose captions are sentences of FILE, a line each, and whose vectors
are random. An index tells nothing of those, as no one is near another: with --spread their vectors lie as those of real
photographs of LIBRARY do. Each is between two photographs, moved as far as photographs are from their nearest ones.

Then it searches: cold by the installed command, which reads the model each time, and warm in one process that has read
it. Prints medians, the slowest, the seconds of a processor, which a busy machine changes less, and the most memory.

With --index it makes an index and searches in turns with it and without it, also with files that are on the disk alone.
It prints how many of the first ten pictures that a search without an index finds are found with one, for sentences of
FILE (by default 50).
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from machine import command, describe

from capcli.arrays import Float32Array
from capcli.library.database import changing, open_to_write, reading
from capcli.library.options import SearchOptions
from capcli.library.rounding import round_vectors
from capcli.library.vector_index import index_path
from capcli.library.vectors import BLOCK, read_vectors
from capcli.model.options import ModelOptions
from capcli.modelfile.identity import identify_model
from capcli.modelfile.sentences import read_sentence_encoder
from capcli.runs.finding import find_in_library

QUERIES = (
    "two dogs on a beach",
    "a man riding a wave on a surfboard",
    "red double decker bus",
    "a plate of food with broccoli",
    "woman holding an umbrella in the rain",
)
NEAREST, MOVES = 5, 3


@dataclass(frozen=True)
class Taken:
    """What a search took: seconds by the clock, seconds of processors, and MB of memory, None where not measured."""

    clock: float
    used: float
    memory: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", default="base")
    parser.add_argument("--spread", type=Path)
    parser.add_argument("--index", action="store_true")
    parser.add_argument("--queries", type=int, default=50)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    lines = [line.strip() for line in options.sentences.read_text(encoding="utf-8").splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "photos.db"
        make_library(library, options.pictures, lines, options.model, options.spread)
        print(f"{options.pictures:,} pictures, {library.stat().st_size / 1e6:,.0f} MB", flush=True)
        ways = {"": False, "without the index: ": True} if options.index else {"": False}
        if options.index:
            indexing = run("library", "index", library, "--model", options.model)
            print(f"index: {tell([indexing])}, {index_path(library).stat().st_size / 1e6:,.0f} MB", flush=True)
        asked = QUERIES * options.repeat
        measure_commands("cold", library, asked[: options.repeat], options.model, ways, lambda path: None)
        if options.index:
            measure_commands("from the disk", library, asked[: options.repeat], options.model, ways, forget)
        measure_warm(library, asked, options.model, ways)
        if options.index:
            chance = random.Random(1)
            measure_recall(library, chance.sample(lines, options.queries), options.model)


def tell(taken: list[Taken]) -> str:
    """What searches took, in words."""
    clock, used = [usage.clock for usage in taken], [usage.used for usage in taken]
    memory = [usage.memory for usage in taken if usage.memory is not None]
    return (
        f"median {statistics.median(clock):.3f} s, slowest {max(clock):.3f} s, "
        f"{statistics.median(used):.3f} s of processors" + (f", {max(memory):,.0f} MB of memory" if memory else "")
    )


def measure_commands(
    what: str,
    library: Path,
    queries: tuple[str, ...],
    model: str,
    ways: dict[str, bool],
    prepare: Callable[[Path], None],
) -> None:
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    for query in queries:
        for way, exact in ways.items():
            prepare(library)
            taken[way].append(run("search", query, library, "--model", model, *(["--exact"] if exact else [])))
    for way, usages in taken.items():
        print(f"{what}: {way}{tell(usages)}", flush=True)


def measure_warm(library: Path, queries: tuple[str, ...], model: str, ways: dict[str, bool]) -> None:
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    for query in ("a first query", *queries):
        for way, exact in ways.items():
            start, used = time.perf_counter(), time.process_time()
            find_in_library(library, query, SearchOptions(exact=exact), ModelOptions(model=model), large=0)
            taken[way].append(Taken(time.perf_counter() - start, time.process_time() - used))
    for way, (first, *others) in taken.items():
        print(f"warm: {way}{tell(others)}, first {first.clock:.3f} s", flush=True)


def measure_recall(library: Path, queries: list[str], model: str) -> None:
    """How many of the first ten pictures of a search without an index are among the first ten of one with it."""
    shares = []
    for query in queries:
        found = [
            {
                hit.path
                for hit in find_in_library(
                    library, query, SearchOptions(exact=exact, min_score=-1.0), ModelOptions(model=model), large=0
                ).hits
            }
            for exact in (False, True)
        ]
        shares.append(len(found[0] & found[1]) / len(found[1]))
    whole = sum(share == 1 for share in shares)
    print(f"recall at 10: {statistics.mean(shares):.4f}, least {min(shares):.1f}; all ten in {whole} of {len(shares)}")


def run(*arguments: object) -> Taken:
    """What the command takes."""
    start = time.perf_counter()
    process = subprocess.Popen([command(), *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"the command failed with exit code {process.returncode}")
    return Taken(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def forget(library: Path) -> None:
    """Lets the system drop from memory what it holds of a library's files."""
    for path in library.parent.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make_library(library: Path, pictures: int, lines: list[str], model: str, spread: Path | None) -> None:
    """A library of pictures that are nowhere, with unit vectors as wide as the model's."""
    chance = random.Random(0)
    encoder = read_sentence_encoder(model)
    if encoder is None:
        raise SystemExit(f"{model} has no matcher that is read without torch")
    width = encoder.sentence_vectors(["a dog"]).shape[1]
    vectors = draw_random(width) if spread is None else draw_between(read_real(spread))
    connection = open_to_write(library)
    with changing(connection):
        connection.execute(
            "INSERT INTO model (id, name, sha256) VALUES (1, ?, ?)", (Path(model).stem, identify_model(model).sha256)
        )
        rows = ((f"/photos/{number}.jpg", chance.choice(lines)) for number in range(pictures))
        while some := list(islice(rows, 10_000)):
            connection.executemany("INSERT INTO picture (path, caption, confidence, model) VALUES (?, ?, 0.5, 1)", some)
    for number in range(pictures // BLOCK + 1):
        block = next(vectors)[: pictures + 1 - number * BLOCK]
        if number == 0:
            block[0] = 0  # there is no picture 0
        with changing(connection):
            connection.execute(
                "INSERT INTO block (model, number, width, vectors) VALUES (1, ?, ?, ?)",
                (number, width, round_vectors(block).tobytes()),
            )
    connection.close()


def draw_random(width: int) -> Iterator[Float32Array]:
    """Blocks of unit vectors, any of which is as near as any other."""
    numbers = np.random.default_rng(0)
    while True:
        yield unit(numbers.standard_normal((BLOCK, width), np.float32))


def draw_between(real: Float32Array) -> Iterator[Float32Array]:
    """Blocks of unit vectors that lie as real ones do.

    Each is between two real ones, nearer to the first, and then moved by differences of real ones from their nearest,
    which have the directions in which, and the sizes by which, photographs of one kind differ.
    """
    numbers = np.random.default_rng(0)
    scores = real @ real.T
    np.fill_diagonal(scores, -1)
    near = np.argsort(-scores, axis=1)[:, :NEAREST]
    print(f"{len(real):,} real vectors; score of the nearest one: {tell_quantiles(scores.max(1))}")
    while True:
        first, second = numbers.integers(len(real), size=(2, BLOCK))
        weight = numbers.uniform(0.5, 1, (BLOCK, 1)).astype(np.float32)
        vectors = weight * real[first] + (1 - weight) * real[second]
        for _ in range(MOVES):
            at = numbers.integers(len(real), size=BLOCK)
            size = numbers.standard_normal((BLOCK, 1), np.float32) / np.float32((2 * MOVES) ** 0.5)
            vectors += size * (real[at] - real[near[at, numbers.integers(NEAREST, size=BLOCK)]])
        yield unit(vectors)


def read_real(library: Path) -> Float32Array:
    """The vectors of a library's first model."""
    with reading(library) as connection:
        return np.concatenate([vectors[vectors.any(1)] for _, vectors in read_vectors(connection, 1)])


def tell_quantiles(scores: Float32Array) -> str:
    return ", ".join(f"{share} % below {np.percentile(scores, share):.2f}" for share in (5, 50, 95))


def unit(vectors: Float32Array) -> Float32Array:
    normalized: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalized


if __name__ == "__main__":
    main()
