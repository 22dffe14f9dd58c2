"""Pictures that a library has more than once: the same pixels, nearly the same, and bursts of one moment."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from capcli.library.changes import read_facts, stamp_of
from capcli.library.database import read_rows, reading
from capcli.library.options import DuplicateOptions
from capcli.library.vectors import read_vectors

if TYPE_CHECKING:
    from capcli.arrays import Float32Array, IntArray

_AT_ONCE = 1024
"""Pictures that are compared with all others at once, which bounds the memory."""


@dataclass(frozen=True)
class Group:
    """Pictures that are one picture to a person.

    Attributes:
        keep: the one with most pixels; of several the one with the larger file, then the surer caption, then the one
            that came first.
        others: the rest, in the order in which they came.
        same: those of the others whose pixels are those of `keep`, to the last bit.
    """

    keep: Path
    others: tuple[Path, ...]
    same: frozenset[Path]

    def to_json(self) -> dict[str, object]:
        """All of it as plain values."""
        rows = [{"path": str(path), "same_pixels": path in self.same} for path in self.others]
        return {"keep": str(self.keep), "others": rows}


@dataclass(frozen=True)
class Duplicates:
    """What a library has more than once.

    Attributes:
        groups: in the order of their first pictures.
        outdated: how many pictures were left out, although others are like them: their files are gone or were changed
            since a run looked at them.
    """

    groups: tuple[Group, ...]
    outdated: int


def find_duplicates(path: Path, options: DuplicateOptions) -> Duplicates:
    """Groups of pictures whose files are as they were when they were captioned; missing ones are in none.

    A picture is in a group if it is like any picture in it. Every picture is compared with every other, so ten times
    the pictures take a hundred times as long. A file that has several paths, by links, is one picture.

    Raises:
        UsageError: if there is no library at the path, or it is of another program or version.
        CapcliError: if it is locked or damaged.
    """
    with reading(path) as connection:
        rows: dict[int, sqlite3.Row] = {}
        for row in read_rows(connection, "NOT missing AND pixels IS NOT NULL"):
            read_facts(row)  # raises where the row is damaged
            rows[row["id"]] = row
        groups = _gather(connection, rows, options)
        grouped = [row for group in groups for row in group]
        present = {row["id"]: row for row in grouped if stamp_of(row["path"]) == (row["size"], row["mtime"])}
        if len(present) < len(grouped):
            # Pictures may have been in one group only because both were like one that is gone.
            groups = _gather(connection, present, options)
    distinct = [files for group in groups if len(files := _drop_links(group)) > 1]
    return Duplicates(tuple(map(_group, distinct)), len(grouped) - len(present))


def _gather(
    connection: sqlite3.Connection, rows: dict[int, sqlite3.Row], options: DuplicateOptions
) -> list[list[sqlite3.Row]]:
    """Groups of two and more of the rows, given by their ids."""
    members = _Sets()
    first: dict[str, int] = {}
    for picture, row in rows.items():
        members.join(first.setdefault(row["pixels"], picture), picture)
    for (model,) in connection.execute("SELECT id FROM model").fetchall():
        ids, vectors = _load(connection, model, rows)
        for place, other in _alike(vectors, options.min_score):
            members.join(int(ids[place]), int(ids[other]))
        for earlier, later in _in_bursts(ids, vectors, rows, options):
            members.join(earlier, later)
    groups: dict[int, list[sqlite3.Row]] = defaultdict(list)
    for picture, row in rows.items():
        groups[members.find(picture)].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _drop_links(rows: list[sqlite3.Row]) -> list[sqlite3.Row]:
    """One row for each file, that of its real path rather than that of a link to it."""
    files: dict[object, sqlite3.Row] = {}
    for row in sorted(rows, key=lambda row: _is_linked(row["path"])):
        with suppress(OSError):  # it went a moment ago
            state = os.stat(row["path"])  # noqa: PTH116 - of names that Path would change
            # Some network drives number no files.
            file = (state.st_dev, state.st_ino) if state.st_ino else os.path.realpath(row["path"])
            files.setdefault(file, row)
    return sorted(files.values(), key=lambda row: int(row["id"]))


def _is_linked(path: str) -> tuple[bool, bool]:
    """Whether a path is a link itself, and whether any folder of it is."""
    return os.path.islink(path), os.path.normcase(os.path.realpath(path)) != path  # noqa: PTH114 - as above


class _Sets:
    """Sets of pictures that grow together (union-find)."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def find(self, picture: int) -> int:
        """The first picture of the set that one is in."""
        while (above := self._above.get(picture, picture)) != picture:
            self._above[picture] = self._above.get(above, above)
            picture = above
        return picture

    def join(self, picture: int, other: int) -> None:
        low, high = sorted((self.find(picture), self.find(other)))
        self._above[high] = low


def _load(connection: sqlite3.Connection, model: int, rows: dict[int, sqlite3.Row]) -> tuple[IntArray, Float32Array]:
    """Ids of N pictures that have vectors by a model, and the vectors, float32 N x E."""
    found: dict[int, Float32Array] = {}
    for start, vectors in read_vectors(connection, model):
        places = (int(place) for place in np.flatnonzero(vectors.any(1)) if start + place in rows)
        found.update((start + place, vectors[place]) for place in places)
    ids = np.array(sorted(found), np.intp)
    nothing = np.empty((0, 0), np.float32)
    return ids, np.stack([found[int(picture)] for picture in ids]) if len(ids) else nothing


def _alike(vectors: Float32Array, least: float) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose cosine similarity is not below the least."""
    for start in range(0, len(vectors), _AT_ONCE):
        some = vectors[start : start + _AT_ONCE]
        places, others = np.nonzero(some @ vectors[start:].T >= least)
        pairs = zip(places.tolist(), others.tolist(), strict=True)
        yield from ((start + place, start + other) for place, other in pairs if place < other)


def _in_bursts(
    ids: IntArray, vectors: Float32Array, rows: dict[int, sqlite3.Row], options: DuplicateOptions
) -> Iterator[tuple[int, int]]:
    """Pairs of pictures, one taken shortly after the other, that are alike as those of a burst are."""
    known = ((place, rows[int(picture)]["taken"]) for place, picture in enumerate(ids))
    dated = sorted((datetime.fromisoformat(taken), place) for place, taken in known if taken)
    for (before, earlier), (after, later) in pairwise(dated):
        soon = after - before <= timedelta(seconds=options.within)
        if soon and float(vectors[earlier] @ vectors[later]) >= options.burst_score:
            yield int(ids[earlier]), int(ids[later])


def _group(rows: list[sqlite3.Row]) -> Group:
    keep = max(rows, key=lambda row: (row["width"] * row["height"], row["size"], row["confidence"] or 0.0, -row["id"]))
    others = [row for row in rows if row["id"] != keep["id"]]
    same = frozenset(Path(row["path"]) for row in others if row["pixels"] == keep["pixels"])
    return Group(Path(keep["path"]), tuple(Path(row["path"]) for row in others), same)
