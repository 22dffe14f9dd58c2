"""What a file has beside its content: owner, times and extended attributes."""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from pathlib import Path


def keep_ownership(picture: Path, state: os.stat_result, file: io.FileIO) -> None:
    """Give an open file the mode, the times, and where the system lets us the owner and attributes, of a picture.

    Args:
        picture: whose attributes.
        state: of the picture.
        file: what it goes to; all its content is written.
    """
    descriptor = file.fileno()
    if hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, state.st_uid, state.st_gid)
    if hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(state.st_mode))
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for name in os.listxattr(picture):
                with suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(picture, name))
    if os.utime in os.supports_fd:
        os.utime(descriptor, ns=(state.st_atime_ns, state.st_mtime_ns))
