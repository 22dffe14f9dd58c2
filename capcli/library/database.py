"""The file itself: its tables, how it is opened, and what is said where SQLite refuses."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from capcli.errors import CapcliError, UsageError
from capcli.files.mounts import network_of
from capcli.library.rounding import round_vectors
from capcli.library.statuses import PROGRAM

APPLICATION = 0x63617063
"""Marks the file as a library of capcli; it spells "capc"."""

VERSION = 3
"""Of the tables.

Version 1 had vectors in float16 and knew nothing of bursts; version 2 had no stamp. Both are renewed when they are
opened to write, and version 1 when it is opened to read, too.
"""

_READABLE = 2
"""The oldest version that is read as it is, so also where nothing may be written."""

PATIENCE = 5.0
"""Seconds that another program may keep the file locked."""

_MAPPED = 2**31 - 2**16
"""Bytes of a file that SQLite maps at most, by its own limit; it copies the rest."""

OF_MODEL = (
    "coalesce("
    "(SELECT new FROM history WHERE history.picture = picture.id AND field = 'caption' "
    f"AND by = '{PROGRAM}' ORDER BY id DESC LIMIT 1), "
    "(SELECT old FROM history WHERE history.picture = picture.id AND field = 'caption' ORDER BY id LIMIT 1), "
    "caption)"
)
"""The model's caption of a row of pictures: what a run wrote last, or what the first person found."""

COLUMNS = (
    "*, (SELECT name FROM model WHERE model.id = picture.model) AS model_name, "
    "(SELECT sha256 FROM model WHERE model.id = picture.model) AS model_sha256, "
    "(SELECT path FROM picture AS source WHERE source.id = picture.copied) AS copied_path, "
    f"caption IS NOT {OF_MODEL} AS edited"
)
"""Of a row of pictures, those that its references lead to among them, and whether a person wrote the caption."""

_NAMES = "surrogatepass" if os.name == "nt" else "surrogateescape"
_TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE model (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, UNIQUE (name, sha256));
CREATE TABLE picture (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    size INTEGER,
    mtime INTEGER,
    width INTEGER,
    height INTEGER,
    taken TEXT,
    pixels TEXT,
    look TEXT,
    copied INTEGER REFERENCES picture,
    caption TEXT,
    confidence REAL,
    others TEXT,
    uncertain INTEGER NOT NULL DEFAULT 0,
    words TEXT,
    keywords TEXT,
    subjects TEXT,
    model INTEGER REFERENCES model,
    error TEXT,
    missing INTEGER NOT NULL DEFAULT 0,
    status TEXT CHECK (status IN ('accepted', 'edited', 'rejected', 'flagged')),
    reviewed TEXT,
    reviewer TEXT,
    version INTEGER NOT NULL DEFAULT 0,
    CHECK ((caption IS NULL) <> (error IS NULL))
);
CREATE INDEX picture_pixels ON picture (pixels);
CREATE INDEX picture_missing ON picture (id) WHERE missing;
CREATE INDEX picture_doubt ON picture (coalesce(status, ''), confidence, id) WHERE caption IS NOT NULL AND NOT missing;
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    picture INTEGER NOT NULL REFERENCES picture,
    field TEXT NOT NULL,
    old TEXT,
    new TEXT,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    undoes INTEGER
);
CREATE INDEX history_picture ON history (picture);
CREATE TABLE vector (picture INTEGER PRIMARY KEY REFERENCES picture, model INTEGER NOT NULL REFERENCES model,
    value BLOB NOT NULL);
CREATE TABLE block (id INTEGER PRIMARY KEY, model INTEGER NOT NULL REFERENCES model, number INTEGER NOT NULL,
    width INTEGER NOT NULL, vectors BLOB NOT NULL, UNIQUE (model, number));
CREATE VIRTUAL TABLE words_of USING fts5 (caption, subjects, content='picture', content_rowid='id',
    tokenize='porter unicode61');
CREATE TRIGGER picture_added AFTER INSERT ON picture BEGIN
    INSERT INTO words_of (rowid, caption, subjects) VALUES (new.id, new.caption, new.subjects);
END;
CREATE TRIGGER picture_changed AFTER UPDATE OF caption, subjects ON picture
    WHEN old.caption IS NOT new.caption OR old.subjects IS NOT new.subjects BEGIN
    INSERT INTO words_of (words_of, rowid, caption, subjects) VALUES ('delete', old.id, old.caption, old.subjects);
    INSERT INTO words_of (rowid, caption, subjects) VALUES (new.id, new.caption, new.subjects);
END;
CREATE TRIGGER picture_revised AFTER UPDATE OF caption, status, error ON picture
    WHEN old.caption IS NOT new.caption OR old.status IS NOT new.status OR old.error IS NOT new.error BEGIN
    UPDATE picture SET version = old.version + 1 WHERE id = new.id;
END;
"""
# Drawn anew with each change of a vector, by whatever program. A count would come to the same number twice, where an
# older copy of a library is put back and goes on.
_STAMP = "\n".join(
    (
        "CREATE TABLE stamp (value BLOB NOT NULL);",
        "INSERT INTO stamp VALUES (randomblob(16));",
        *(
            f"CREATE TRIGGER {table}_{change.lower()} AFTER {change} ON {table} BEGIN\n"
            "    UPDATE stamp SET value = randomblob(16);\nEND;"
            for table in ("vector", "block")
            for change in ("INSERT", "UPDATE", "DELETE")
        ),
    )
)


class Damaged(CapcliError):  # noqa: N818 - says what the library is
    """A library that SQLite cannot read.

    Attributes:
        reason: one clause without a final stop.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; `capcli library check` says what is whole")
        self.reason = reason


def open_to_write(path: Path) -> sqlite3.Connection:
    """Opens a library, made if there is no file, whole or not at all; others may read it meanwhile.

    Raises:
        UsageError: if it is another program's or a newer version's, or cannot be opened.
        CapcliError: if it is locked or damaged, or the disk is full.
    """
    if (kind := network_of(path)) is not None:
        raise UsageError(f"{path} lies on a network drive ({kind}), where SQLite cannot share it; name a local file")
    begins = not path.exists()
    if not begins and not os.access(path, os.W_OK):  # SQLite would open it all the same, and refuse the first change
        raise UsageError(f"{path} may not be written (it is read-only)")
    with failing(path, begins=begins):
        connection = _connect(path, "rwc")
        try:
            _identify(path, connection, new=True)
            # Larger pages are read faster, a million vectors at once, and smaller ones make each commit cheaper.
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing by this, and a power failure only the last moments.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            if _is_new(connection):
                with changing(connection):
                    for statement in _statements(_TABLES + _STAMP):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
            elif _version(connection) < VERSION:
                with changing(connection):
                    _renew(connection)
        except BaseException:
            connection.close()
            if begins:
                remove(path)
            raise
    return connection


def remove(path: Path) -> None:
    """Removes a library that is not open, with its log of changes; nothing happens to what cannot be removed."""
    file = os.path.realpath(path)
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            os.unlink(f"{file}{ending}")  # noqa: PTH108 - SQLite adds to the name as a whole


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens a library that is there, and changes nothing; raises UsageError and CapcliError as `open_to_write` does."""
    if not path.is_file():
        raise UsageError(f"{path}: no such library; `capcli caption PICTURES -o {path}` makes one")
    with failing(path):
        # A connection that may write, where it can, takes the write-ahead log away with it when it ends.
        connection = _connect(path, "rw")
        try:
            try:
                _identify(path, connection)
            except sqlite3.OperationalError:
                # On a disk that takes no writes there can be no write-ahead log, nor a writer.
                connection.close()
                if path.with_name(f"{path.name}-wal").exists():
                    raise
                connection = _connect(path, "ro&immutable=1")
                _identify(path, connection)
            if _version(connection) < _READABLE:
                connection.close()
                open_to_write(path).close()
                connection = _connect(path, "rw")
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def failing(path: Path, *, begins: bool = False) -> Iterator[None]:
    """Turns what SQLite raises into one line about the library, which `begins` here and is gone where that fails."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        reason = str(error)
        if "not a database" in reason:
            raise UsageError(f"{path} is no library of capcli; name another file") from None
        if "unable to open" in reason:
            raise UsageError(f"{path} cannot be opened; is its folder there, and may you write in it?") from None
        if "readonly" in reason:
            raise UsageError(f"{path} may not be written (it is read-only)") from None
        if "locked" in reason or "busy" in reason:
            raise CapcliError(f"{path} is locked by another program; wait for it, or close that program") from None
        if begins and ("full" in reason or "disk I/O" in reason):  # SQLite tells a full disk by either
            raise CapcliError(
                f"{path}: no library was made ({reason}); make room on the disk, and run the command again"
            ) from None
        if "full" in reason:
            raise CapcliError(
                f"{path}: no space left on device; the rows it holds are whole, and --resume goes on from them"
            ) from None
        if "disk I/O" in reason:
            reason += " (is the disk full?)"
        if "fts5" in reason:
            raise CapcliError(f"{path}: this Python's SQLite lacks FTS5, which a library needs") from None
        raise Damaged(path, reason) from None


@contextmanager
def parsing(row: sqlite3.Row) -> Iterator[None]:
    """Turns what the values of a damaged row of pictures raise into what SQLite raises for a damaged page, which
    `failing` says in one line.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise sqlite3.DatabaseError(f"the row of picture {row['id']} is damaged") from None


@contextmanager
def reading(path: Path, *, mapped: bool = False) -> Iterator[sqlite3.Connection]:
    """Opens a library as `open_to_read` does; whatever others write meanwhile, the block sees one state of it.

    With `mapped` the file's pages are looked at where the system holds them, and not copied one by one: for what reads
    all of a large library. The system counts them as this process's memory, and takes them back when it needs them.
    Not on a network drive, where a page that does not come would end the process.
    """
    connection = open_to_read(path)
    try:
        with failing(path):
            if mapped and network_of(path) is None:
                connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
            connection.execute("BEGIN")
            yield connection
    finally:
        connection.close()


def last_picture(connection: sqlite3.Connection) -> int:
    """The largest id of a picture, 0 where there is none."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM picture").fetchone()
    return int(last)


def read_stamp(connection: sqlite3.Connection) -> bytes | None:
    """What differs from one state of all vectors to the next; None in a library of version 2."""
    if _version(connection) < VERSION:
        return None
    (stamp,) = connection.execute("SELECT value FROM stamp").fetchone()
    return bytes(stamp)


@contextmanager
def changing(connection: sqlite3.Connection) -> Iterator[None]:
    """All changes of the block, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has taken it back already
            connection.execute("ROLLBACK")
        raise


def read_rows(connection: sqlite3.Connection, where: str = "1", values: Iterable[object] = ()) -> Iterator[sqlite3.Row]:
    """Rows of pictures with all `COLUMNS`, in the order in which they came."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    yield from cursor.execute(f"SELECT {COLUMNS} FROM picture WHERE {where} ORDER BY id", tuple(values))


def encode_name(name: str) -> bytes:
    """A path as `CAST(? AS TEXT)` takes it: its bytes stay as they are, even those that are no UTF-8."""
    return name.encode("utf-8", _NAMES)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    place = path.absolute().as_uri()
    connection = sqlite3.connect(f"{place}?mode={mode}", PATIENCE, uri=True, isolation_level=None)
    connection.text_factory = lambda content: content.decode("utf-8", _NAMES)
    return connection


def _identify(path: Path, connection: sqlite3.Connection, *, new: bool = False) -> None:
    """Raises UsageError for a file that is no library of this version; a `new` one may be empty yet."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    if _is_new(connection):
        if new:
            return
        raise UsageError(f"{path} is empty; `capcli caption PICTURES -o {path}` makes a library of it")
    if application != APPLICATION:
        raise UsageError(f"{path} is another program's database; name another file")
    if version > VERSION:
        raise UsageError(f"{path} is a library of version {version}, and this capcli knows {VERSION}; update capcli")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _renew(connection: sqlite3.Connection) -> None:
    """Makes an older library one of this version; the caller holds a transaction."""
    version = _version(connection)
    if version == 1:
        _renew_vectors(connection)
    if version < VERSION:  # else another process was first
        for statement in _statements(_STAMP):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _renew_vectors(connection: sqlite3.Connection) -> None:
    """From version 1 to 2."""

    def rounded(content: bytes, width: int) -> bytes:
        return round_vectors(np.frombuffer(content, np.float16).reshape(-1, width)).tobytes()

    connection.create_function("rounded", 2, rounded, deterministic=True)
    connection.execute("UPDATE block SET vectors = rounded(vectors, width)")
    connection.execute("UPDATE vector SET value = rounded(value, length(value) / 2)")
    there = {name for _, name, *_ in connection.execute("PRAGMA table_info (picture)")}
    for name, kind in {"look": "TEXT", "copied": "INTEGER REFERENCES picture"}.items():
        if name not in there:
            connection.execute(f"ALTER TABLE picture ADD COLUMN {name} {kind}")


def _is_new(connection: sqlite3.Connection) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return (application, tables) == (0, 0)


def _statements(script: str) -> Iterator[str]:
    # Not executescript, which would end the transaction.
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
