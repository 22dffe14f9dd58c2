"""Vectors of pictures, many in a row, so that a search reads a million of them in a moment.

Block n of a model holds the vectors of the pictures n * BLOCK and on, at most BLOCK of them, float16, in the order of
their ids; a picture without a vector has zeros. A new vector lies by itself until `pack` puts it into its block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from capcli.arrays import Float16Array, Float32Array
from capcli.library.database import last_picture

BLOCK = 1024
"""Vectors in a block."""


def put_vector(connection: sqlite3.Connection, picture: int, model: int, vector: Float32Array) -> None:
    """Keeps the vector of a picture by itself, until `pack`."""
    value = vector.astype(np.float16).tobytes()
    connection.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (picture, model, value))


def drop_vector(connection: sqlite3.Connection, picture: int) -> None:
    """Forgets what vectors there are of a picture."""
    connection.execute("DELETE FROM vector WHERE picture = ?", (picture,))
    number, place = divmod(picture, BLOCK)
    blocks = connection.execute("SELECT id, width, vectors FROM block WHERE number = ?", (number,)).fetchall()
    for block, width, content in blocks:
        vectors = np.frombuffer(content, np.float16).reshape(-1, width).copy()
        if place < len(vectors) and vectors[place].any():
            vectors[place] = 0
            connection.execute("UPDATE block SET vectors = ? WHERE id = ?", (vectors.tobytes(), block))


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
        width = len(loose[0][1]) // 2
        before = np.frombuffer(row[0] if row else b"", np.float16).reshape(-1, width)
        vectors = np.zeros((max(len(before), 1 + max(picture - start for picture, _ in loose)), width), np.float16)
        vectors[: len(before)] = before
        for picture, value in loose:
            vectors[picture - start] = np.frombuffer(value, np.float16)
        connection.execute(
            "INSERT INTO block (model, number, width, vectors) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (model, number) DO UPDATE SET vectors = excluded.vectors",
            (model, number, width, vectors.tobytes()),
        )
    connection.execute("DELETE FROM vector")


def read_vectors(connection: sqlite3.Connection, model: int) -> Iterator[tuple[int, Float16Array]]:
    """All vectors of a model, a block at a time.

    Yields:
        the id of the first picture of N, and their vectors, float16 N x E, zeros where a picture has none.
    """
    blocks = connection.execute("SELECT number, width, vectors FROM block WHERE model = ?", (model,))
    for number, width, content in blocks:
        yield number * BLOCK, np.frombuffer(content, np.float16).reshape(-1, width)
    for picture, content in connection.execute("SELECT picture, value FROM vector WHERE model = ?", (model,)):
        yield picture, np.frombuffer(content, np.float16)[None]


def compare_vectors(connection: sqlite3.Connection, model: int, vector: Float32Array) -> Float32Array:
    """Cosine similarities of every picture with a unit vector, E.

    They are computed in float16, whose steps are at most 0.0005 there.

    Returns:
        float32, by the ids of pictures; 0 for those without a vector by the model.
    """
    import torch  # multiplies float16 twenty times as fast as NumPy

    found = np.zeros(last_picture(connection) + 1, np.float32)
    wanted = torch.from_numpy(vector.astype(np.float16))
    place = torch.empty(BLOCK, len(vector), dtype=torch.float16)  # for torch takes no memory that is read-only
    with _one_thread():
        for start, vectors in read_vectors(connection, model):
            rows = place[: len(vectors)]
            rows.numpy()[:] = vectors
            found[start : start + len(vectors)] = (rows @ wanted).float().numpy()
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch compute with one thread: reading takes longer than the products, whose threads would only wait."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
