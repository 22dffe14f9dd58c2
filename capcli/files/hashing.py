"""Hashes by which files are known again, whatever they are called."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; raises OSError."""
    found = path.stat()
    return _hash(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@functools.lru_cache
def _hash(path: Path, *state: int) -> str:
    """The hash of a file in a state; one process reads the same model several times."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
