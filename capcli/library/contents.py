"""What a library holds, told as a whole: an account of it, its results, and whether it is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.library.changes import read_result
from capcli.library.database import Damaged, changing, failing, open_to_write, read_rows, reading
from capcli.library.indexing import IndexState, describe_index, find_index_faults
from capcli.library.vectors import read_holders
from capcli.output import Result

_REMEDY = "the library is damaged; put a backup of it back, or caption the pictures anew into another file"


@dataclass(frozen=True)
class Account:
    """An account of a library.

    Attributes:
        pictures: rows.
        captioned: those with a caption.
        uncertain: captioned ones below the least confidence that was asked for.
        failed: those with an error in the place of a caption.
        missing: those whose file was gone when a run ended last.
        reviewed: those whose caption a person accepted, edited, rejected or flagged.
        changes: entries of the history.
        vectors: pictures that search finds by their pixels.
        taken: when the first and the last picture with a date were taken, None where there is none.
        models: names of the models that wrote captions, with the SHA-256 of each file and how many pictures have its
            captions.
        bytes: size of the file.
        index: of its vectors, None where there is none.
    """

    pictures: int
    captioned: int
    uncertain: int
    failed: int
    missing: int
    reviewed: int
    changes: int
    vectors: int
    taken: tuple[str, str] | None
    models: tuple[tuple[str, str, int], ...]
    bytes: int
    index: IndexState | None


def count_all(path: Path) -> Account:
    """An account of the library at a path; raises UsageError and CapcliError where it cannot be read."""
    with reading(path) as connection:
        pictures, captioned, uncertain, failed, missing, reviewed = connection.execute(
            "SELECT count(*), count(caption), coalesce(sum(uncertain), 0), count(error), coalesce(sum(missing), 0), "
            "count(status) FROM picture"
        ).fetchone()
        (changes,) = connection.execute("SELECT count(*) FROM history").fetchone()
        first, last = connection.execute("SELECT min(taken), max(taken) FROM picture").fetchone()
        models = connection.execute(
            "SELECT name, sha256, (SELECT count(*) FROM picture WHERE picture.model = model.id) FROM model ORDER BY id"
        ).fetchall()
        return Account(
            pictures=pictures,
            captioned=captioned,
            uncertain=uncertain,
            failed=failed,
            missing=missing,
            reviewed=reviewed,
            changes=changes,
            vectors=len(set(read_holders(connection))),
            taken=None if first is None else (first, last),
            models=tuple(models),
            bytes=path.stat().st_size,
            index=describe_index(path, connection),
        )


def find_models(path: Path, sha256: str) -> tuple[int, ...]:
    """Numbers that a library knows a model by, given the SHA-256 of its file; raises what `count_all` does."""
    with reading(path) as connection:
        rows = connection.execute("SELECT id FROM model WHERE sha256 = ? ORDER BY id", (sha256,))
        return tuple(number for (number,) in rows)


def read_results(path: Path) -> Iterator[Result]:
    """Every result of a library, in the order in which they came; raises what `count_all` does."""
    with reading(path) as connection:
        for row in read_rows(connection):
            yield read_result(row)


def has_keywords(path: Path) -> bool:
    """Whether any picture of a library was captioned with keywords; raises what `count_all` does."""
    with reading(path) as connection:
        return connection.execute("SELECT 1 FROM picture WHERE keywords IS NOT NULL LIMIT 1").fetchone() is not None


def find_faults(path: Path) -> list[str]:
    """What is wrong with a library, a line each; raises what `count_all` does, but not for one that is damaged.

    SQLite checks its pages, references and conditions; where it finds a fault, the first line says what can be done.
    Else the index of words is compared with the captions where the file may be written; every vector must belong to a
    captioned picture and have the length that its model's vectors have.
    An index of vectors must be whole and, where a search uses it, have the very vectors of the library.
    """
    try:
        return _check_pages(path) or _check_contents(path)
    except Damaged as error:
        return [_REMEDY, error.reason]


def _check_pages(path: Path) -> list[str]:
    with reading(path) as connection:
        texts = [text for (text,) in connection.execute("PRAGMA integrity_check")]
    faults = [line for text in texts for line in text.splitlines() if line != "ok" and not line.startswith("***")]
    return [_REMEDY, *faults] if faults else []


def _check_contents(path: Path) -> list[str]:
    with reading(path) as connection:
        faults: list[str] = []
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        faults += [f"row {row} of {table} refers to a {other} that is not there" for table, row, other, _ in broken]
        faults += [
            f"{row['path']}: {what}"
            for what, where in {
                "its caption is empty": "caption = ''",
                "its confidence is not between 0 and 1": "caption IS NOT NULL AND confidence NOT BETWEEN 0 AND 1",
                "its caption has no model": "caption IS NOT NULL AND model IS NULL",
            }.items()
            for row in read_rows(connection, where)
        ]
        faults += [
            f"{row['path']}: {fault}" for row in read_rows(connection) if (fault := _find_damage(row)) is not None
        ]
        captioned = {picture for (picture,) in connection.execute("SELECT id FROM picture WHERE caption IS NOT NULL")}
        faults += [
            f"picture {picture} has a vector of model {model} and no caption"
            for model, picture in read_holders(connection)
            if picture not in captioned
        ]
        faults += find_index_faults(path, connection)
    return faults + _compare_words(path)


def _find_damage(row: sqlite3.Row) -> str | None:
    try:
        read_result(row)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def _compare_words(path: Path) -> list[str]:
    try:
        connection = open_to_write(path)
    except UsageError:  # it may not be written
        return []
    try:
        with failing(path):
            try:
                with changing(connection):
                    connection.execute("INSERT INTO words_of (words_of, rank) VALUES ('integrity-check', 1)")
            except sqlite3.DatabaseError as error:
                if "malformed" not in str(error):
                    raise
                return ["the index of words does not fit the captions"]
    finally:
        connection.close()
    return []
