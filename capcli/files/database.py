"""Files that are databases, such as a library of photographs."""

from __future__ import annotations

from pathlib import Path

from capcli.errors import UsageError

_BEGIN = b"SQLite format 3\0"


def is_database(path: Path) -> bool:
    """Whether a file is a database, of whatever program."""
    try:
        if not path.is_file():  # a pipe would lose what is read of it
            return False
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except (OSError, ValueError):
        return False


def refuse_database(path: Path) -> None:
    """Raises UsageError where what is written to `path` would take the place of a database."""
    if is_database(path):
        raise UsageError(
            f"{path} is a library or another database, which is never overwritten; take another name, or "
            "remove it first"
        )
