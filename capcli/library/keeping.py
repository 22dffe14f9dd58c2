"""A library that a run writes."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from capcli.errors import UsageError
from capcli.files.keys import Keys
from capcli.files.lock import open_output
from capcli.library.changes import key_of, mark_missing, put_result, read_result, stamp_of
from capcli.library.database import changing, encode_name, failing, open_to_write, read_rows, remove
from capcli.library.statuses import CHECKED, WITHHELD
from capcli.library.vectors import BLOCK, count_loose, pack
from capcli.output import Result, State
from capcli.output.kept import ByFolder, Endless
from capcli.output.resume_record import ResumeRecord

_AT_ONCE = 500
"""Pictures that are looked up by one query; SQLite takes at least 999."""


class LibraryFile(ByFolder, Endless):
    """Keeps results in a library, one transaction each; a `Kept` as `capcli.output.outputs` takes it.

    A picture whose file changed is captioned again. Where its pixels are the same all the same, its row stays as it is,
    with all that people changed; so it does where the same pixels lie at another path and the old one is gone: the row
    moves. Each change goes into the history. While it is open no other run can open it so, and everybody may read it.

    Args:
        path: the file.
        resume: go on with the rows of an existing library.
        overwrite: caption pictures anew that it has rows of; the old captions stay in the history.

    Attributes:
        overwrites: whether it captions pictures anew.

    Raises:
        UsageError: if it exists and neither is asked for, is no library of this version, is being written by another
            run, or cannot be opened.
        CapcliError: if it is locked or damaged.
    """

    def __init__(self, path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
        self._path, self.overwrites, self._keys = path, overwrite, Keys()
        self._forgotten: set[str] = set()
        self._lock_path = Path(os.path.realpath(path))
        self._lock_path = self._lock_path.with_name(f".{self._lock_path.name}.lock")
        # Not the library itself: closing it would take SQLite's own locks along.
        self._lock = open_output(self._lock_path, path)
        try:
            self._connection = open_to_write(path)
        except BaseException:
            _unlock(self._lock, self._lock_path)
            raise
        with failing(path):
            (self._before,) = self._connection.execute("SELECT count(*) FROM picture").fetchone()
        if self._before and not (resume or overwrite):
            self._close()
            raise UsageError(f"{path} exists; --resume goes on with it, --overwrite captions its pictures anew")

    @property
    def count(self) -> int:
        """How many pictures it had rows of when it was opened."""
        return int(self._before)

    def record(self, options: Mapping[str, object], *, resumes: bool, anyway: bool) -> ResumeRecord:
        """What made its captions, kept inside of it."""
        place = Origins(self._path, self._connection)
        return ResumeRecord(self._path, place, options, holds=self.count > 0, resumes=resumes, anyway=anyway)

    def is_file(self, path: Path) -> bool:
        """Whether `path` leads to this very file."""
        try:
            return path.samefile(self._path)
        except (OSError, ValueError):
            return False

    def states(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What it holds of pictures of a folder; nothing of those whose files changed since."""
        if self.overwrites:
            return [None] * len(names)
        keys = self._keys.paths(os.fspath(folder), names)
        with failing(self._path):
            held = dict(_read_states(self._connection, keys))
        return [None if key in self._forgotten else held.get(key) for key in keys]

    def forget(self, paths: Iterable[Path]) -> None:
        """Take the rows of pictures that are about to be captioned again for gone, until the new ones come."""
        self._forgotten.update(map(key_of, paths))

    def write(self, result: Result) -> bool:
        """Keep a result; raises CapcliError where the disk does not take it."""
        key = key_of(result.path)
        with failing(self._path), changing(self._connection):
            put_result(self._connection, result, replace=self.overwrites)
            if count_loose(self._connection) >= BLOCK:
                pack(self._connection)
        self._forgotten.discard(key)
        return True

    def recall(self, result: Result) -> Result | None:
        """A result with what people made of its caption; None where they rejected or flagged it."""
        (row,) = self.read("path = CAST(? AS TEXT)", encode_name(key_of(result.path)))
        return None if row["status"] in WITHHELD else replace(read_result(row), path=result.path)

    def read(self, where: str, *values: object) -> Iterator[sqlite3.Row]:
        """Rows of pictures by a condition in SQL, as `read_rows` gives them."""
        with failing(self._path):
            yield from read_rows(self._connection, where, values)

    def __enter__(self) -> LibraryFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                with failing(self._path), changing(self._connection):
                    pack(self._connection)
                    mark_missing(self._connection)
        finally:
            self._close(unused=kind is not None)

    def _close(self, *, unused: bool = False) -> None:
        """Closes it; where nothing came of a run, a library that it made is gone."""
        count = 1  # where it cannot be read, it stays
        try:
            with failing(self._path):
                (count,) = self._connection.execute("SELECT count(*) FROM picture").fetchone()
        finally:
            self._connection.close()
            if unused and not self._before and not count:
                remove(self._path)
            _unlock(self._lock, self._lock_path)


def _unlock(lock: io.FileIO, path: Path) -> None:
    with suppress(OSError):
        path.unlink()
    lock.close()


def _read_states(connection: sqlite3.Connection, keys: Sequence[str]) -> Iterator[tuple[str, State]]:
    """What a library holds of pictures, each with its path; those whose files changed are left out."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        rows = connection.execute(
            "SELECT path, size, mtime, error IS NOT NULL, uncertain, status FROM picture "
            f"WHERE path IN ({', '.join(['CAST(? AS TEXT)'] * len(some))})",
            list(map(encode_name, some)),
        )
        for key, size, mtime, failed, uncertain, status in rows.fetchall():
            if stamp_of(key) not in ((size, mtime), (None, None)):
                continue
            if failed:
                yield key, State.FAILED
            elif status in WITHHELD:
                yield key, State.WITHHELD
            else:
                yield key, State.UNCERTAIN if uncertain and status not in CHECKED else State.CAPTIONED


class Origins:
    """Where a library keeps what made it; a `Place` as `capcli.output.origin` takes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        with failing(self._path):
            row = self._connection.execute("SELECT value FROM about WHERE key = 'origins'").fetchone()
        return None if row is None else bytes(row[0])

    def write(self, content: bytes) -> None:
        with failing(self._path), changing(self._connection):
            self._connection.execute("INSERT OR REPLACE INTO about VALUES ('origins', ?)", (content,))

    def remove(self) -> None:
        with failing(self._path), changing(self._connection):
            self._connection.execute("DELETE FROM about WHERE key = 'origins'")
