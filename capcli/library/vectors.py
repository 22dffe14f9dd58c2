"""Vectors of pictures, many in a row, so that a search reads a million of them in a moment.

Block n of a model holds the vectors of the pictures n * BLOCK and on, at most BLOCK of them, rounded to eight bits, in
the order of their ids; a picture without a vector has zeros. A new vector lies by itself until `pack` puts it into its
block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from capcli.arrays import Float32Array
from capcli.library.database import last_picture
from capcli.library.rounding import Rows, read_rows, restore_vectors, round_vectors, row_type, width_of

BLOCK = 1024
"""Vectors in a block."""

_AT_ONCE = 256
"""Vectors that are compared at once: as float32 they fit into the cache of a core."""


def put_vector(connection: sqlite3.Connection, picture: int, model: int, vector: Float32Array) -> None:
    """Keeps the vector of a picture by itself, until `pack`."""
    value = round_vectors(vector[None]).tobytes()
    connection.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (picture, model, value))


def copy_vector(connection: sqlite3.Connection, source: int, picture: int) -> None:
    """Keeps the vector of one picture, where it has one, for another picture as well."""
    number, place = divmod(source, BLOCK)
    loose = connection.execute("SELECT model, value FROM vector WHERE picture = ?", (source,)).fetchone()
    if loose is None:
        blocks = connection.execute("SELECT model, width, vectors FROM block WHERE number = ?", (number,))
        rows = ((model, read_rows(content, width)[place : place + 1]) for model, width, content in blocks)
        loose = next(((model, row.tobytes()) for model, row in rows if row["scale"].any()), None)
    if loose is not None:
        connection.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (picture, *loose))


def drop_vector(connection: sqlite3.Connection, picture: int) -> None:
    """Forgets what vectors there are of a picture."""
    connection.execute("DELETE FROM vector WHERE picture = ?", (picture,))
    number, place = divmod(picture, BLOCK)
    blocks = connection.execute("SELECT id, width, vectors FROM block WHERE number = ?", (number,)).fetchall()
    for block, width, content in blocks:
        rows = read_rows(content, width).copy()
        if place < len(rows) and rows["scale"][place]:
            rows[place] = np.zeros((), rows.dtype)
            connection.execute("UPDATE block SET vectors = ? WHERE id = ?", (rows.tobytes(), block))


def count_loose(connection: sqlite3.Connection) -> int:
    """How many vectors lie by themselves."""
    (count,) = connection.execute("SELECT count(*) FROM vector").fetchone()
    return int(count)


def pack(connection: sqlite3.Connection) -> None:
    """Puts all vectors into their blocks; the caller holds a transaction."""
    groups = connection.execute("SELECT DISTINCT model, picture / ? FROM vector", (BLOCK,)).fetchall()
    for model, number in groups:
        start = number * BLOCK
        loose = connection.execute(
            "SELECT picture, value FROM vector WHERE model = ? AND picture >= ? AND picture < ?",
            (model, start, start + BLOCK),
        ).fetchall()
        row = connection.execute("SELECT vectors FROM block WHERE model = ? AND number = ?", (model, number)).fetchone()
        width = width_of(loose[0][1])
        before = read_rows(row[0] if row else b"", width)
        rows = np.zeros(max(len(before), 1 + max(picture - start for picture, _ in loose)), row_type(width))
        rows[: len(before)] = before
        for picture, value in loose:
            rows[picture - start] = read_rows(value, width)[0]
        connection.execute(
            "INSERT INTO block (model, number, width, vectors) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (model, number) DO UPDATE SET vectors = excluded.vectors",
            (model, number, width, rows.tobytes()),
        )
    connection.execute("DELETE FROM vector")


def read_vectors(connection: sqlite3.Connection, model: int) -> Iterator[tuple[int, Float32Array]]:
    """All vectors of a model, a block at a time.

    Yields:
        the id of the first picture of N, and their vectors, float32 N x E, zeros where a picture has none.
    """
    for start, rows in read_stored(connection, model):
        yield start, restore_vectors(rows)


def read_holders(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """The models and the pictures of all vectors."""
    for model, number, width, content in connection.execute("SELECT model, number, width, vectors FROM block"):
        places = np.flatnonzero(read_rows(content, width)["scale"])
        yield from ((model, number * BLOCK + int(place)) for place in places)
    yield from connection.execute("SELECT model, picture FROM vector")


def compare_vectors(connection: sqlite3.Connection, model: int, vector: Float32Array) -> Float32Array:
    """Cosine similarities of every picture with a unit vector, E.

    Returns:
        float32, by the ids of pictures; 0 for those without a vector by the model.
    """
    found = np.zeros(last_picture(connection) + 1, np.float32)
    for start, rows in read_stored(connection, model):
        found[start : start + len(rows)] = compare_rows(rows, vector)
    return found


def compare_rows(rows: Rows, vector: Float32Array) -> Float32Array:
    """Cosine similarities of N stored vectors with a unit vector, E: float32 N, 0 where there is none."""
    found = np.empty(len(rows), np.float32)
    place = np.empty((_AT_ONCE, len(vector)), np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        values = place[: len(some)]
        values[:] = some["values"]
        # A row at a time NumPy starts no threads, which would only keep those busy that rank captions meanwhile.
        found[start : start + len(some)] = (values[:, None] @ vector)[:, 0] * some["scale"]
    return found


def read_stored(connection: sqlite3.Connection, model: int) -> Iterator[tuple[int, Rows]]:
    """All vectors of a model as they are stored, a block at a time, and the id of the first picture of each."""
    blocks = connection.execute("SELECT number, width, vectors FROM block WHERE model = ?", (model,))
    for number, width, content in blocks:
        yield number * BLOCK, read_rows(content, width)
    for picture, content in connection.execute("SELECT picture, value FROM vector WHERE model = ?", (model,)):
        yield picture, read_rows(content, width_of(content))
