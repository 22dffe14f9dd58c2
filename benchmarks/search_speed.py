"""How long a search of a large library takes, and how much memory.

usage: python benchmarks/search_speed.py --sentences FILE [--pictures N] [--repeat N] [--model NAME]

Makes a library of N pictures (by default 100,000) whose vectors are random and whose captions are sentences of FILE, a
line each. Then it searches: cold by the installed command, which reads the model each time, and warm in one process
that has read it. Prints medians, the slowest, the seconds of a processor, which a busy machine changes less, and the
most memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from machine import command, describe

from capcli.library.database import changing, open_to_write
from capcli.library.options import SearchOptions
from capcli.library.rounding import round_vectors
from capcli.library.vectors import BLOCK
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "photos.db"
        make_library(library, options.pictures, options.sentences, options.model)
        print(f"{options.pictures:,} pictures, {library.stat().st_size / 1e6:,.0f} MB")
        asked = QUERIES * options.repeat
        cold = [measure_command(query, library, options.model) for query in asked[: options.repeat]]
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"cold: {tell(cold)}, {memory:,.0f} MB of memory")
        model = ModelOptions(model=options.model)
        warm = []
        for query in ("a first query", *asked):
            start, used = time.perf_counter(), time.process_time()
            find_in_library(library, query, SearchOptions(), model)
            warm.append((time.perf_counter() - start, time.process_time() - used))
        print(f"warm: {tell(warm[1:])}, first {warm[0][0]:.3f} s")


def tell(taken: list[tuple[float, float]]) -> str:
    """Seconds by the clock, and of processors, in words."""
    clock, used = zip(*taken, strict=True)
    return (
        f"median {statistics.median(clock):.3f} s, slowest {max(clock):.3f} s, "
        f"{statistics.median(used):.3f} s of processors"
    )


def measure_command(query: str, library: Path, model: str) -> tuple[float, float]:
    """Seconds that the command takes for a query, by the clock and of processors."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([command(), "search", query, str(library), "--model", model], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the search failed with exit code {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used


def make_library(library: Path, pictures: int, sentences: Path, model: str) -> None:
    """A library of pictures that are nowhere, with random unit vectors as wide as the model's."""
    lines = [line.strip() for line in sentences.read_text(encoding="utf-8").splitlines() if line.strip()]
    chance, numbers = random.Random(0), np.random.default_rng(0)
    encoder = read_sentence_encoder(model)
    if encoder is None:
        raise SystemExit(f"{model} has no matcher that is read without torch")
    width = encoder.sentence_vectors(["a dog"]).shape[1]
    connection = open_to_write(library)
    with changing(connection):
        connection.execute(
            "INSERT INTO model (id, name, sha256) VALUES (1, ?, ?)", (Path(model).stem, identify_model(model).sha256)
        )
        rows = ((f"/photos/{number}.jpg", chance.choice(lines)) for number in range(pictures))
        while some := list(islice(rows, 10_000)):
            connection.executemany("INSERT INTO picture (path, caption, confidence, model) VALUES (?, ?, 0.5, 1)", some)
    for number in range(pictures // BLOCK + 1):
        vectors = numbers.standard_normal((min(BLOCK, pictures + 1 - number * BLOCK), width), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with changing(connection):
            connection.execute(
                "INSERT INTO block (model, number, width, vectors) VALUES (1, ?, ?, ?)",
                (number, width, round_vectors(vectors).tobytes()),
            )
    connection.close()


if __name__ == "__main__":
    main()
