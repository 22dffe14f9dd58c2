"""A table that a person edited after `capcli library export` wrote it, taken back into the library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from capcli.datasets.records import Record, read_records
from capcli.errors import DatasetError
from capcli.library.changes import key_of, remember
from capcli.library.database import changing, encode_name, failing, open_to_write, read_rows
from capcli.library.review import NotChanged, clean, settle, unify
from capcli.library.statuses import STATUSES


@dataclass(frozen=True)
class Returned:
    """What became of the rows of a table.

    Attributes:
        changed: pictures whose caption or status is another one now.
        same: rows that nobody changed since the export, or that have what the library has.
        absent: captioned pictures of the library that the table has no row of; they stay as they are.
        refused: a line for each row, or pair of rows, that was not taken, which says why.
    """

    changed: int
    same: int
    absent: int
    refused: tuple[str, ...]


@dataclass(frozen=True)
class _Wish:
    """What a row wants: `caption` and `status` as the library is to have them."""

    where: str
    version: int
    caption: str
    status: str | None


def take_back(library: Path, table: Path, by: str) -> Returned:
    """Takes the captions and statuses of an edited table into a library, all in one transaction.

    A row that nobody edited changes nothing, whatever the library has by now. An edited row changes its picture if the
    library's caption and status are still those of the export. If not, the library stays as it is, the text of the row
    goes into the history, and the row is among the refused ones. An edited caption gets the status "edited", unless the
    status was edited too.

    Args:
        library: the file.
        table: what `capcli library export -o captions.csv` wrote; rows may be missing, doubled and in another order.
        by: who edited it.

    Raises:
        DatasetError: the table cannot be read, or lacks a column that the export has.
        UsageError: the library is none, or of another version; CapcliError if it is locked, full or damaged.
    """
    records = read_records(table)
    if any(not {"path", "caption", "status", "version"} <= record.fields.keys() for record in records):
        raise DatasetError(f"{table}: lacks a column of path, caption, status and version; export the library to a CSV")
    connection = open_to_write(library)
    try:
        with failing(library), changing(connection):
            return _take(connection, records, by)
    finally:
        connection.close()


def _take(connection: sqlite3.Connection, records: Iterable[Record], by: str) -> Returned:
    refused: list[str] = []
    seen: set[int] = set()
    wishes: dict[int, list[_Wish]] = {}
    same = 0
    for record in records:
        path = str(record.fields["path"])
        # A name may hold a line break, too, and a program may have made it one of Windows.
        found = (_find(connection, spelling) for spelling in dict.fromkeys((path, path.replace("\r\n", "\n"))))
        row = next(filter(None, found), None)
        if row is None:
            refused.append(f"{record.where}: {path} is not in the library")
            continue
        seen.add(row["id"])
        try:
            wish = _wish(connection, row, record)
        except NotChanged as error:
            refused.append(f"{record.where}: {path} {error}")
            continue
        if wish is None:
            same += 1
        elif all((wish.caption, wish.status) != (other.caption, other.status) for other in wishes.get(row["id"], [])):
            wishes.setdefault(row["id"], []).append(wish)
    changed = 0
    for picture, wanted in wishes.items():
        (row,) = read_rows(connection, "id = ?", (picture,))
        if len(wanted) == 1 and (wanted[0].caption, wanted[0].status) == (row["caption"], row["status"]):
            same += 1
        elif (reason := _grant(connection, row, wanted, by)) is not None:
            refused.append(reason)
        else:
            changed += 1
    captioned = {picture for (picture,) in connection.execute("SELECT id FROM picture WHERE caption IS NOT NULL")}
    return Returned(changed, same, len(captioned - seen), tuple(refused))


def _find(connection: sqlite3.Connection, path: str) -> sqlite3.Row | None:
    return next(read_rows(connection, "path = CAST(? AS TEXT)", (encode_name(key_of(Path(path))),)), None)


def _wish(connection: sqlite3.Connection, row: sqlite3.Row, record: Record) -> _Wish | None:
    """What a row wants, None where nobody edited it; raises NotChanged for what no caption can be."""
    caption, status = str(record.fields["caption"]), str(record.fields["status"]).strip().lower() or None
    if row["caption"] is None:
        if not caption.strip():
            return None
        raise NotChanged(f"has no caption in the library ({row['error']})")
    try:
        version = int(str(record.fields["version"]))
    except ValueError:
        raise NotChanged(f"has the version {record.fields['version']!r}, not a number") from None
    if status not in (None, *STATUSES):
        raise NotChanged(f"has the status {status!r}, none of {', '.join(STATUSES)}")
    old_caption, old_status = (_at(connection, row, field, version) or None for field in ("caption", "status"))
    if unify(caption) != unify(old_caption or ""):
        return _Wish(record.where, version, clean(caption), "edited" if status == old_status else status)
    if status == old_status:
        return None
    return _Wish(record.where, version, old_caption or clean(caption), status)


def _at(connection: sqlite3.Connection, row: sqlite3.Row, field: str, version: int) -> str | None:
    """What a row had in a field when it was of a version."""
    found = connection.execute(
        "SELECT old FROM history WHERE picture = ? AND field = ? AND version >= ? ORDER BY version, id LIMIT 1",
        (row["id"], field, version),
    ).fetchone()
    value = row[field] if found is None else found[0]
    return value.strip() if value is not None else None


def _grant(connection: sqlite3.Connection, row: sqlite3.Row, wanted: list[_Wish], by: str) -> str | None:
    """Changes a row as it is wanted, or says in a line why not."""
    first = wanted[0]
    if len(wanted) > 1:
        return f"{wanted[1].where}: {row['path']} has another text or status than in {first.where}; leave one in"
    if row["version"] != first.version:
        if first.caption != row["caption"]:
            remember(connection, row, "untaken", row["caption"], first.caption, by)
        return (
            f"{first.where}: {row['path']} was changed in the library since the export: it has {row['caption']!r} "
            f"({row['status'] or 'not reviewed'}), the table {first.caption!r} ({first.status or 'not reviewed'})"
        )
    settle(connection, row, first.status, first.caption, by)
    return None
