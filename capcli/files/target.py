"""Where a file is asked for, before the work that it is to hold."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.database import refuse_database

_LONGEST_NAME = 255
"""Bytes that a file's name may have nearly everywhere."""


def hidden_beside(path: Path, kind: str) -> Path:
    """The hidden file that tells something of an output, beside it: `.out.csv.origin.json` for `origin.json`."""
    real = Path(os.path.realpath(path))
    name = f".{real.name}.{kind}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{hashlib.blake2b(os.fsencode(real.name), digest_size=8).hexdigest()}.{kind}"
    return real.with_name(name)


def check_target(name: str, path: Path) -> None:
    """Raises UsageError where no file can be written at `path`, which the option `name` asks for, or a library is."""
    if path.is_dir():
        raise UsageError(f"{name} {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise UsageError(f"{name} {path}: its folder does not exist; make it first")
    refuse_database(path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{name} {path} may not be written (permission denied)")
