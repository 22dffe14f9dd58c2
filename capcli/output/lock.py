"""A lock on an open file that ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
from typing import IO

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


def lock(file: IO[bytes]) -> bool:
    """Lock `file` until it is closed; False if another process has.

    A file system that knows no locks grants them all.
    """
    try:
        _lock(file.fileno())
    except OSError as error:
        return error.errno not in _HELD_BY_ANOTHER
    return True


if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Locked bytes cannot be read by others there, so it is one far behind the end.
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 2**60, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
