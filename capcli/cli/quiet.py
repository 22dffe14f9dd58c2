"""Silence for what C libraries print past Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what C libraries write to the process's stderr off it, as libtiff does about damaged files.

    `sys.stderr` goes on working: it moves to a descriptor of its own meanwhile. Where it is not the process's
    stderr, because there is none or a test has replaced it, nothing changes.
    """
    python = sys.stderr
    try:
        is_ours = python.fileno() == 2
    except (AttributeError, OSError, ValueError):
        is_ours = False
    if not is_ours:
        yield
        return
    python.flush()
    descriptor = os.dup(2)
    with os.fdopen(descriptor, "w", buffering=1, encoding=python.encoding, errors=python.errors) as moved:
        sys.stderr = moved
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(descriptor, 2)
            sys.stderr = python
