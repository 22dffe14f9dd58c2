"""Files that one process at a time has open to write, by a lock that ends with its process, however that ends."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from pathlib import Path

from capcli.errors import UsageError, system_reason

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


def open_locked(path: Path) -> io.FileIO | None:
    """Open a file to read and write, made if it is not there, or None if another process has it open so.

    A file system that knows no locks grants them all. Raises OSError where there can be no such file.
    """
    while True:
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")
        if not _lock(file):
            file.close()
            return None
        # Whoever held the lock may have put another file in its place meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def open_output(path: Path, name: Path) -> io.FileIO:
    """Open the file that a run locks while it writes the output `name`; the user calls it so.

    Raises:
        UsageError: if there can be no such file, or another run has it open.
    """
    try:
        file = open_locked(path)
    except OSError as error:
        raise UsageError(f"{name}: {system_reason(error)}") from None
    if file is None:
        raise UsageError(f"{name} is being written by another run; wait for it, or name another file")
    return file


def _lock(file: io.FileIO) -> bool:
    try:
        _lock_descriptor(file.fileno())
    except OSError as error:
        return error.errno not in _HELD_BY_ANOTHER
    return True


if os.name == "nt":
    import msvcrt

    def _lock_descriptor(descriptor: int) -> None:
        # Locked bytes cannot be read by others there, so it is one far behind the end.
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 2**60, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)

else:
    import fcntl

    def _lock_descriptor(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
