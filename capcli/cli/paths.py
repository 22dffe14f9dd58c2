"""Paths alone in the place of a table, for other commands to read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from capcli.errors import UsageError


def check_form(*, files: bool, null: bool, as_json: bool) -> None:
    """Raises UsageError where more than one form in the place of the table is asked for."""
    if files + null + as_json > 1:
        raise UsageError("choose one of --files, --null and --json")


def print_paths(paths: Iterable[Path], *, null: bool) -> None:
    """Prints paths on stdout, byte for byte, each with a line feed or a NUL byte after it."""
    end = b"\0" if null else b"\n"
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
