"""Libraries of the shards of a run, put into one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.lock import open_output
from capcli.files.target import hidden_beside
from capcli.library.database import changing, encode_name, failing, open_to_write, read_rows, reading, remove
from capcli.library.keeping import Origins
from capcli.library.vectors import pack, put_vector, read_vectors
from capcli.output.merging import Shards
from capcli.output.origin import Origin
from capcli.output.resume_record import ResumeRecord

_KEPT = (
    *("size", "mtime", "width", "height", "taken", "pixels", "caption", "confidence", "others", "uncertain"),
    *("words", "keywords", "subjects", "error", "missing", "status", "reviewed", "reviewer", "version"),
)
"""Columns of a picture that are copied as they are."""


def read_library_origins(path: Path) -> list[Origin]:
    """What made the captions of a library; raises UsageError and CapcliError where it cannot be read."""
    with reading(path) as connection:
        return ResumeRecord(path, Origins(path, connection), {}, holds=True, resumes=False).read()


def merge_libraries(shards: Shards, output: Path) -> None:
    """Puts the libraries of all shards into a new one, whole or not at all: pictures, vectors and history.

    Args:
        shards: of one run.
        output: the new file.

    Raises:
        UsageError: where a shard is no library, or does not hold what it should.
        CapcliError: where the disk does not take it.
    """
    part, lock_path = hidden_beside(output, "merging.db"), hidden_beside(output, "merging.lock")
    with open_output(lock_path, output):
        remove(part)
        try:
            connection = open_to_write(part)
            try:
                with failing(part), changing(connection):
                    for number, path in enumerate(shards.outputs):
                        shards.prove(number, list(_copy(shards, number, path, connection)))
                    pack(connection)
                if shards.origins:
                    place = Origins(part, connection)
                    ResumeRecord(output, place, {}, holds=True, resumes=False).put(shards.origins)
                with failing(part):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()
            part.replace(output)
        except OSError as error:
            raise CapcliError(f"{output}: {system_reason(error)}") from None
        finally:
            remove(part)
            with suppress(OSError):
                lock_path.unlink()


def _copy(shards: Shards, number: int, path: Path, to: sqlite3.Connection) -> Iterator[int]:
    """Copies a library; yields the places of its pictures, by which they are numbered as a single run numbers them."""
    places = shards.places(number)
    marks = ", ".join("?" * (len(_KEPT) + 2))
    with reading(path) as connection:
        numbers = {}
        models = {None: None}
        for model, name, sha256 in connection.execute("SELECT id, name, sha256 FROM model ORDER BY id"):
            to.execute("INSERT OR IGNORE INTO model (name, sha256) VALUES (?, ?)", (name, sha256))
            found = to.execute("SELECT id FROM model WHERE name = ? AND sha256 = ?", (name, sha256)).fetchone()
            models[model] = found[0]
        for row in read_rows(connection):
            if (place := places.get(row["path"])) is None:
                raise UsageError(f"{path} has a row of {row['path']}, which is none of its pictures")
            numbers[row["id"]] = place + 1
            to.execute(
                f"INSERT INTO picture (path, id, model, {', '.join(_KEPT)}) VALUES (CAST(? AS TEXT), {marks})",
                (encode_name(row["path"]), place + 1, models[row["model"]], *(row[name] for name in _KEPT)),
            )
            yield place
        for model, new in models.items():
            if model is not None and new is not None:
                _copy_vectors(connection, model, numbers, to, new)
        for picture, *change in connection.execute(
            "SELECT picture, field, CAST(old AS BLOB), CAST(new AS BLOB), at, by, version, undoes "
            "FROM history ORDER BY id"
        ):
            to.execute(
                "INSERT INTO history (picture, field, old, new, at, by, version, undoes) "
                "VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)",
                (numbers[picture], *change),
            )


def _copy_vectors(
    connection: sqlite3.Connection, model: int, numbers: dict[int, int], to: sqlite3.Connection, new: int
) -> None:
    for start, vectors in read_vectors(connection, model):
        for place in vectors.any(1).nonzero()[0].tolist():
            put_vector(to, numbers[start + place], new, vectors[place])
