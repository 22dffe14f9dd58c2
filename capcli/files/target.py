"""Where a file is asked for, before the work that it is to hold."""

from __future__ import annotations

import os
from pathlib import Path

from capcli.errors import UsageError


def check_target(name: str, path: Path) -> None:
    """Raises UsageError where no file can be written at `path`, which the option `name` asks for."""
    if path.is_dir():
        raise UsageError(f"{name} {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise UsageError(f"{name} {path}: its folder does not exist; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{name} {path} may not be written (permission denied)")
