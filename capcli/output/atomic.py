"""Whole files, written so that a crash or a full disk leaves the old one as it was."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path


def part_of(path: Path) -> Path:
    """The hidden file beside `path` in which its next version grows; one left by a crash is simply taken over."""
    # A hash, because the name itself may be as long as a name can be.
    return path.with_name(f".{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}.part")


def write_atomic(path: Path, content: bytes) -> None:
    """Put `content` in place of the file `path`, which keeps its permissions; raises OSError."""
    # Where it is a link, the file that it leads to is meant.
    path = Path(os.path.realpath(path))
    part = part_of(path)
    try:
        part.write_bytes(content)
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, part)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
