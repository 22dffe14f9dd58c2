"""Whole files, written so that a crash or a full disk leaves the old one as it was."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from capcli.files.lock import open_locked


def write_atomic(path: Path, content: bytes) -> None:
    """Put `content` in place of the file `path`, which keeps its permissions; a device such as /dev/null is written to.

    Raises OSError.
    """
    if path.is_char_device():
        with path.open("wb", buffering=0) as device:
            write_whole(device, content)
        return
    with replacing(path) as file:
        write_whole(file, content)
    file.close()


@contextmanager
def replacing(path: Path) -> Iterator[io.FileIO]:
    """Open an empty file that takes the place of `path`, and its permissions, if the block ends well.

    The file stays open and locked as long as the caller keeps it. Raises OSError, `BlockingIOError` where another
    process is about to replace the same file, and for a device or a pipe, which no file may take the place of.
    """
    # Where it is a link, the file that it leads to is meant.
    path = Path(os.path.realpath(path))
    there = path.exists()
    if there and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if there and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    part = _part_of(path)
    file = open_locked(part)  # one left by a crash is simply taken over
    if file is None:
        raise BlockingIOError(errno.EAGAIN, "another run is writing it", str(path))
    try:
        file.truncate(0)
        yield file
        if there:
            shutil.copymode(path, part)
            # What replaces a file is on the disk before that file is gone, even if the power fails.
            os.fsync(file.fileno())
        if os.name == "nt":  # where open files can be neither replaced nor moved
            file.close()
        part.replace(path)
    except BaseException:
        file.close()
        with suppress(OSError):
            part.unlink()
        raise


def drop_part(path: Path) -> None:
    """Remove what a crash left of a file that was to replace `path` and no longer is; raises OSError."""
    part = _part_of(Path(os.path.realpath(path)))
    if part.exists() and (file := open_locked(part)) is not None:
        part.unlink()
        file.close()


def _part_of(path: Path) -> Path:
    # A hash, because the name itself may be as long as a name can be.
    return path.with_name(f".{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}.part")


def write_whole(file: io.FileIO, content: bytes) -> None:
    """Write all of `content`, which one call need not do; raises OSError."""
    while content:
        content = content[file.write(content) :]


def disk_is_full(error: OSError) -> bool:
    """Whether no other file can be written either."""
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
