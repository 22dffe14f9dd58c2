"""Making the index of a library's vectors, keeping it up, and proving it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capcli.arrays import BoolArray, IntArray
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.lock import open_output
from capcli.files.target import hidden_beside
from capcli.library.database import changing, failing, last_picture, open_to_write, read_stamp, reading
from capcli.library.rounding import Rows, row_type
from capcli.library.vector_index import (
    Label,
    NotInstalled,
    OtherFormat,
    Unfit,
    import_usearch,
    index_path,
    is_behind,
    read_index,
    read_scales,
    view_index,
)
from capcli.library.vectors import BLOCK, pack, read_stored
from capcli.words.counting import count_of

_CONNECTIVITY = 16
"""Neighbours of each vector in the graph."""

_BREADTH = 64
"""How many vectors are looked at for the neighbours of a new one."""

_MOST_DROPPED = 0.1
"""The share of its vectors that are taken out of a graph before it is made anew: what they leave makes it worse."""

_STEP = 2 * 10**9
"""Nanoseconds in which the coarsest file system counts the times of files."""


class _GrowingIndex:
    """An index that is made; it takes the vectors as they are stored.

    Args:
        width: numbers in a vector.
        last: the largest id of a picture.
        former: what an earlier index says of itself, and its bytes; it is gone on with.

    Attributes:
        graph: of usearch, with the values of the vectors, by the ids of pictures.
        scales: of the vectors, float32, by the ids of pictures; 0 where there is none.
        dropped: how many vectors were taken out.
    """

    def __init__(self, width: int, last: int, former: tuple[Label, memoryview] | None) -> None:
        index = import_usearch().index
        self.graph = index.Index(ndim=width, metric="cos", dtype="i8", connectivity=_CONNECTIVITY)
        self.scales = np.zeros(last + 1, np.float32)
        if former is not None:
            label, content = former
            self.graph.load(content[: label.graph])
            self.scales = np.pad(read_scales(label, content), (0, max(0, last + 1 - label.pictures)))
        self.graph.expansion_add = _BREADTH
        self.dropped = 0

    def __len__(self) -> int:
        return len(self.graph)

    def read(self, pictures: IntArray) -> Rows:
        """The vectors of N pictures, none of a later id than `last`, as the library stores them."""
        rows = np.zeros(len(pictures), row_type(self.graph.ndim))
        rows["scale"] = self.scales[pictures]
        there = np.flatnonzero(rows["scale"])
        if len(there):
            rows["values"][there] = np.stack(self.graph.get(pictures[there].astype(np.uint64), dtype="i8"))
        return rows

    def put(self, pictures: IntArray, rows: Rows) -> None:
        """Takes the vectors of N pictures in the place of those that it has of them."""
        other = _differ(self.read(pictures), rows)
        pictures, rows = pictures[other], rows[other]
        self.drop(pictures[self.scales[pictures] > 0])
        if len(pictures):
            # Threads that meet in a nearly empty graph leave some vectors to which nothing leads.
            threads = 1 if len(self.graph) < BLOCK else 0
            self.graph.add(pictures.astype(np.uint64), np.ascontiguousarray(rows["values"]), threads=threads)
            self.scales[pictures] = rows["scale"]

    def drop(self, pictures: IntArray) -> None:
        """Forgets the vectors of N pictures."""
        if len(pictures):
            self.graph.remove(pictures.astype(np.uint64))
            self.scales[pictures] = 0
            self.dropped += len(pictures)


def make_index(library: Path, sha256: str, count: Callable[[int, int], None] = lambda done, total: None) -> Label:
    """Makes the index of the vectors that a model gave a library, or brings it up to date; whole or not at all.

    Args:
        library: the file. Others may write it meanwhile; the index is then of the state that it had in the beginning.
        sha256: of the model.
        count: called with how many pictures are done, and of how many.

    Raises:
        UsageError: if usearch is not installed, there is no such library, it has no vectors by the model, or may not be
            written, or another process makes its index.
        CapcliError: if it is locked or damaged, or the disk does not take the index.
    """
    try:
        import_usearch()
    except NotInstalled as error:
        raise UsageError(f"an index {error}") from None
    with reading(library):  # which refuses what is no library
        pass
    path = index_path(library)
    part, lock = hidden_beside(path, "part"), hidden_beside(path, "lock")
    with open_output(lock, path):
        try:
            _pack(library)
            with reading(library) as connection:
                index = _gather(connection, library, sha256, count)
                stamp = read_stamp(connection)
            assert stamp is not None  # it was opened to write
            label = _write(part, index, stamp, sha256)
            part.replace(path)
            return label
        except (OSError, RuntimeError) as error:  # the latter are usearch's
            reason = system_reason(error) if isinstance(error, OSError) else str(error)
            raise CapcliError(f"{path}: {reason}") from None
        finally:
            for file in (part, lock):
                with suppress(OSError):
                    file.unlink()


def _pack(library: Path) -> None:
    """Puts all vectors into their blocks, so that nothing but a change of them makes the index an old one."""
    connection = open_to_write(library)
    try:
        with failing(library), changing(connection):
            pack(connection)
    finally:
        connection.close()


def _gather(
    connection: sqlite3.Connection, library: Path, sha256: str, count: Callable[[int, int], None]
) -> _GrowingIndex:
    """All vectors by a model, in the index that there is where most of it can stay."""
    last = last_picture(connection)
    width = next((rows["values"].shape[1] for _, rows in _read_lots(connection, sha256)), None)
    if width is None:
        raise UsageError(f"{library} has no vectors by this model; --model names the one that captioned it")
    former = None
    with suppress(Unfit):
        label, content = read_index(index_path(library), prove=True)
        if (label.usearch, label.sha256, label.width) == (import_usearch().__version__, sha256, width):
            former = label, content
    while True:
        index = _GrowingIndex(width, last, former)
        there = np.zeros(len(index.scales), bool)
        for pictures, rows in _read_lots(connection, sha256):
            index.put(pictures, rows)
            there[pictures] = True
            count(int(pictures[-1]), last)
        index.drop(np.flatnonzero((index.scales > 0) & ~there))
        if former is None or index.dropped <= _MOST_DROPPED * len(index):
            return index
        former = None


def _read_lots(connection: sqlite3.Connection, sha256: str) -> Iterator[tuple[IntArray, Rows]]:
    """All vectors of a model, many at once: the ids of N pictures, and N rows."""
    for (model,) in connection.execute("SELECT id FROM model WHERE sha256 = ? ORDER BY id", (sha256,)).fetchall():
        for start, rows in read_stored(connection, model):
            there = np.flatnonzero(rows["scale"])
            if len(there):
                yield start + there, rows[there]


def _differ(some: Rows, others: Rows) -> BoolArray:
    """Which of N vectors differ."""
    differ: BoolArray = (some["scale"] != others["scale"]) | (some["values"] != others["values"]).any(1)
    return differ


def _write(part: Path, index: _GrowingIndex, stamp: bytes, sha256: str) -> Label:
    """Writes an index, so that it is on the disk; raises OSError, and RuntimeError of usearch."""
    index.graph.save(part)
    graph = part.stat().st_size
    digest = hashlib.sha256()
    with part.open("r+b") as file:
        file.seek(graph)
        file.write(index.scales.astype("<f4").tobytes())
        pictures = len(index.scales)
        for start in range(0, pictures, BLOCK):
            some = np.arange(start, min(start + BLOCK, pictures))
            file.write(index.read(some)["values"].tobytes())
        file.seek(0)
        while block := file.read(1 << 20):
            digest.update(block)
        label = Label(
            usearch=import_usearch().__version__,
            stamp=stamp.hex(),
            sha256=sha256,
            width=index.graph.ndim,
            vectors=len(index),
            graph=graph,
            pictures=pictures,
            digest=digest.hexdigest(),
            written=time.time_ns() // _STEP * _STEP,
        )
        file.write(label.to_bytes())
        file.flush()
        os.fsync(file.fileno())
    os.utime(part, ns=(label.written, label.written))
    return label


@dataclass(frozen=True)
class IndexState:
    """What can be said of the index of a library.

    Attributes:
        bytes: size of the file.
        vectors: how many it has; None where it cannot be read.
        unfit: why a search does not use it; None where it may.
    """

    bytes: int
    vectors: int | None
    unfit: str | None


def describe_index(library: Path, connection: sqlite3.Connection) -> IndexState | None:
    """What can be said of the index of a library that is open to read; None where there is none."""
    path = index_path(library)
    try:
        size = path.stat().st_size
    except OSError:
        return None
    label = None
    try:
        label, _ = read_index(path)
        why = is_behind(label, connection)
    except Unfit as error:
        why = str(error)
    return IndexState(size, None if label is None else label.vectors, why)


def find_index_faults(library: Path, connection: sqlite3.Connection) -> list[str]:
    """What is wrong with the index of a library that is open to read, a line each; nothing of one that is not used."""
    path = index_path(library)
    if not path.exists():
        return []
    again = f"delete it, or make it anew by `capcli library index {library}`"
    try:
        label, content = read_index(path, prove=True)
    except OtherFormat:
        return []
    except Unfit as error:
        return [f"{path} {error}; {again}"]
    try:
        if is_behind(label, connection) is not None:
            return []
    except NotInstalled:
        return []
    index = view_index(label, content)
    there = np.zeros(len(index.scales), bool)
    wrong = 0
    for pictures, rows in _read_lots(connection, label.sha256):
        wrong += int(_differ(index.read(pictures), rows).sum())
        there[pictures[pictures < len(there)]] = True
    wrong += int(((index.scales > 0) & ~there).sum())
    return [f"{path} has other vectors of {count_of(wrong, 'picture')} than the library; {again}"] if wrong else []
