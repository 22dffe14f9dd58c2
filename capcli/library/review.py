"""What people make of captions: accepted, edited, rejected or flagged, one change at a time, and taken back.

Each change names the version of the row that it was made for. Where another change came first, the row stays as it is,
and both texts are kept: the other one in the row, this one in the history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from capcli.library.changes import change_row, now, read_result, remember
from capcli.library.database import COLUMNS, changing, failing, open_to_read, open_to_write, read_rows, reading
from capcli.library.statuses import PROGRAM, STATUSES

LONGEST = 5000
"""Characters of a caption that a person may write."""

UNREVIEWED = ""
"""What stands for the status of captions that nobody has looked at."""

_SHOWN = "caption IS NOT NULL AND NOT missing"


@dataclass(frozen=True)
class Place:
    """Where a row stands in the order of doubt: those that nobody has looked at first, the least sure first."""

    status: str
    confidence: float
    id: int


@dataclass(frozen=True)
class Row:
    """A captioned picture as a reviewer sees it.

    Attributes:
        id: its number in the library.
        path: of the file.
        caption: the best one, or what a person wrote.
        confidence: of the model's own caption, in [0, 1].
        others: further captions of the model with their confidences.
        keywords: the likeliest first.
        status: one of STATUSES, or None.
        reviewed: when it got the status, by UTC.
        reviewer: who gave it.
        version: rises with every change of caption and status.
        size: width and height of the upright picture, None where they are not known.
        copied_from: path of the picture of the same burst that the caption was made for, None where it is this one, or
            where a person wrote the caption for this one.
    """

    id: int
    path: str
    caption: str
    confidence: float
    others: tuple[tuple[str, float], ...]
    keywords: tuple[str, ...]
    status: str | None
    reviewed: str | None
    reviewer: str | None
    version: int
    size: tuple[int, int] | None
    copied_from: str | None = None

    @property
    def place(self) -> Place:
        """Where it stands in the order of doubt."""
        return Place(self.status or UNREVIEWED, self.confidence, self.id)


@dataclass(frozen=True)
class Change:
    """An entry of the history of a picture; `field` is "untaken" for a text that came too late."""

    field: str
    old: str | None
    new: str | None
    at: str
    by: str


@dataclass(frozen=True)
class Looked:
    """What the caption of a picture was made of.

    Attributes:
        path: of the file.
        caption: the one that stands.
        pixels: the hash of the picture's pixels as it was captioned, see `capcli.pictures.facts`; None where it is not
            known.
        model: the name of the model that wrote the caption, None where it is not known.
        model_sha256: of its file.
    """

    path: str
    caption: str
    pixels: str | None
    model: str | None
    model_sha256: str | None


class Conflict(Exception):  # noqa: N818 - it is the answer to a change as often as an error
    """Another change came first; `row` is what the library has now."""

    def __init__(self, row: Row) -> None:
        super().__init__("was changed meanwhile")
        self.row = row


class NotChanged(Exception):  # noqa: N818 - the same
    """A change that is impossible; the message is one clause."""


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Keeps a library open, so that its log of changes is not folded in after each of them.

    Raises:
        UsageError: there is none, it is of another version, or it may not be written.
        CapcliError: it is locked or damaged.
    """
    with reading(path), _writing(path) as connection, changing(connection):
        pass
    connection = open_to_read(path)
    try:
        yield
    finally:
        connection.close()


def read_window(path: Path, show: str | None, after: Place | None, count: int) -> list[Row]:
    """Some rows in the order of doubt.

    Args:
        path: of the library.
        show: a status, UNREVIEWED for captions that nobody has looked at, or None for all.
        after: the place of the row before the first one.
        count: the most rows.
    """
    wanted = [_SHOWN]
    values: list[object] = []
    if show is not None:
        wanted.append("coalesce(status, '') = ?")
        values.append(show)
    if after is not None:
        wanted.append("(coalesce(status, ''), confidence, id) > (?, ?, ?)")
        values += [after.status, after.confidence, after.id]
    with reading(path) as connection:
        cursor = connection.cursor()
        cursor.row_factory = sqlite3.Row
        found = cursor.execute(
            f"SELECT {COLUMNS} FROM picture WHERE {' AND '.join(wanted)} "
            "ORDER BY coalesce(status, ''), confidence, id LIMIT ?",
            (*values, count),
        )
        return [_row(row) for row in found]


def count_statuses(path: Path) -> dict[str, int]:
    """How many captions have each status, those with none under UNREVIEWED."""
    with reading(path) as connection:
        found = connection.execute(
            f"SELECT coalesce(status, ''), count(*) FROM picture WHERE {_SHOWN} GROUP BY coalesce(status, '')"
        )
        return {**dict.fromkeys((UNREVIEWED, *STATUSES), 0), **dict(found)}


def read_row(path: Path, picture: int) -> tuple[Row, list[Change]] | None:
    """A captioned picture and its history, the latest first; None where there is none of the number."""
    with reading(path) as connection:
        row = _find(connection, picture)
        if row is None:
            return None
        entries = connection.execute(
            "SELECT field, old, new, at, by FROM history WHERE picture = ? ORDER BY id DESC", (picture,)
        )
        return _row(row), [Change(*entry) for entry in entries]


def read_looked(path: Path, picture: int) -> Looked | None:
    """What a caption was made of; None where there is no captioned picture of the number."""
    with reading(path) as connection:
        row = _find(connection, picture)
        if row is None:
            return None
        return Looked(row["path"], row["caption"], row["pixels"], row["model_name"], row["model_sha256"])


def decide(path: Path, picture: int, version: int, status: str, caption: str, by: str) -> Row:
    """Gives a caption a status, and another text where `caption` is another; it is on the disk when this returns.

    Raises:
        Conflict: the row is no longer of this version; the text is in the history.
        NotChanged: there is no such picture, or the text is blank or too long.
        CapcliError: the library is locked, full or damaged.
    """
    caption = clean(caption)
    with _writing(path) as connection, changing(connection):
        row = _require(connection, picture)
        status = (
            "edited" if status == "accepted" and (caption != row["caption"] or row["status"] == "edited") else status
        )
        conflict = row["version"] != version and (caption, status) != (row["caption"], row["status"])
        if conflict:
            if caption != row["caption"]:
                remember(connection, row, "untaken", row["caption"], caption, by)
        else:
            settle(connection, row, status, caption, by)
        left = _row(_require(connection, picture))
    if conflict:
        raise Conflict(left)
    return left


def undo(path: Path, picture: int, version: int, by: str) -> Row:
    """Takes back the last change that a person made of a caption or its status, and then the one before it.

    Raises:
        Conflict: the row is no longer of this version.
        NotChanged: there is no such picture or nothing to take back.
        CapcliError: the library is locked, full or damaged.
    """
    with _writing(path) as connection, changing(connection):
        row = _require(connection, picture)
        if row["version"] != version:
            raise Conflict(_row(row))
        last = connection.execute(
            "SELECT version, by FROM history WHERE picture = ? AND field IN ('caption', 'status', 'error') "
            "AND undoes IS NULL AND version NOT IN "
            "(SELECT undoes FROM history WHERE picture = ? AND undoes IS NOT NULL) ORDER BY version DESC LIMIT 1",
            (picture, picture),
        ).fetchone()
        if last is None or last[1] == PROGRAM:
            raise NotChanged("has no change by a person to take back")
        before = dict(
            connection.execute(
                "SELECT field, old FROM history WHERE picture = ? AND version = ? AND field IN ('caption', 'status')",
                (picture, last[0]),
            ).fetchall()
        )
        values = {**before, **_signed(before.get("status", row["status"]), by)}
        change_row(connection, row, values, by, undoes=last[0])
        return _row(_require(connection, picture))


def clean(caption: str) -> str:
    """A text as a caption, by `unify`; raises NotChanged for a blank one and for one that is too long."""
    # Half a character, as JSON may hold it, fits into no file.
    caption = unify(caption.encode(errors="replace").decode().replace("\0", ""))
    if not caption:
        raise NotChanged("needs a text; reject it if there is nothing to say")
    if len(caption) > LONGEST:
        raise NotChanged(f"has {len(caption):,} characters, more than {LONGEST:,}")
    return caption


def unify(caption: str) -> str:
    """A text without space around it, with the same line ends whatever program saved it."""
    return caption.replace("\r\n", "\n").replace("\r", "\n").strip()


def settle(connection: sqlite3.Connection, row: sqlite3.Row, status: str | None, caption: str, by: str) -> None:
    """Gives a row a status and a caption that are not its own already; the caller holds a transaction."""
    if (caption, status) != (row["caption"], row["status"]):
        change_row(connection, row, {"caption": caption, "status": status, **_signed(status, by)}, by)


def _signed(status: str | None, by: str) -> dict[str, object]:
    return {"reviewed": now(), "reviewer": by} if status else {"reviewed": None, "reviewer": None}


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_to_write(path)
    try:
        with failing(path):
            # What a person was told is stored outlasts a power failure, too.
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
    finally:
        connection.close()


def _find(connection: sqlite3.Connection, picture: int) -> sqlite3.Row | None:
    if picture >= 2**63:  # larger than SQLite's numbers are
        return None
    return next(read_rows(connection, "id = ? AND caption IS NOT NULL", (picture,)), None)


def _require(connection: sqlite3.Connection, picture: int) -> sqlite3.Row:
    row = _find(connection, picture)
    if row is None:
        raise NotChanged("is not in the library, or has no caption")
    return row


def _row(row: sqlite3.Row) -> Row:
    result = read_result(row)
    return Row(
        row["id"],
        row["path"],
        result.captions[0],
        result.confidences[0],
        tuple(zip(result.captions[1:], result.confidences[1:], strict=True)),
        tuple(keyword.word for keyword in result.keywords or ()),
        row["status"],
        row["reviewed"],
        row["reviewer"],
        row["version"],
        (row["width"], row["height"]) if row["width"] and row["height"] else None,
        None if result.copied_from is None else row["copied_path"],
    )
