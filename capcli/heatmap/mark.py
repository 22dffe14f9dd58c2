"""What all drawings carry, so that no file of anybody else's is taken for one."""

from __future__ import annotations

import os
from pathlib import Path

MARK = "capcli attend"
"""Stands as ASCII among the first or the last bytes of every drawing, where its format names the program."""

# Ends of a file that are searched: in a huge photograph the words would be found by chance, and slowly.
_NEAR = 4096


def is_marked(path: Path) -> bool:
    """Whether a path is a file that carries the mark; not if it cannot be read."""
    if not path.is_file():  # to open a pipe might take for ever
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_NEAR)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _NEAR))
            tail = file.read(_NEAR)
    except OSError:
        return False
    return any(MARK.encode() in part for part in (head, tail))
