"""The streams of the command where its caller closed some of them, and the end of what is written to stdout."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import IO, BinaryIO, cast

from capcli.errors import CapcliError, system_reason


class _ClosedStdout(io.RawIOBase):
    """In the place of a closed stdout: results are not lost without a word.

    Args:
        place: open to the end, so that no file of the run gets the number of stdout.
    """

    def __init__(self, place: IO[str]) -> None:
        self._place = place

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._place.fileno()

    def write(self, content: object) -> int:
        raise CapcliError("stdout is closed, and the results go there; send them to a file by > FILE")


def replace_closed_streams() -> None:
    """Put something in the place of each closed stream, so that reading gives nothing and messages are dropped.

    What is written to a closed stdout, however, raises CapcliError.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - open to the end
            if name == "stdout":
                stream = io.TextIOWrapper(cast(BinaryIO, _ClosedStdout(stream)), encoding="utf-8", write_through=True)
            setattr(sys, name, stream)


@contextmanager
def silence() -> Iterator[None]:
    """Drop what is written to stderr meanwhile; what goes wrong is raised, and reported afterwards."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123
        yield


def require_stdout() -> None:
    """Raises CapcliError if stdout is closed."""
    sys.stdout.buffer.write(b"")


def finish_stdout() -> None:
    """Write out what stdout still holds; raises BrokenPipeError where nobody reads it, CapcliError where it is full."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CapcliError(f"stdout: {system_reason(error)}") from None


def drop_stdout() -> None:
    """Forget what stdout holds and cannot write; without this Python complains when it flushes at exit."""
    _drop(sys.stdout)


def drop_stderr() -> None:
    """Forget what stderr holds and cannot write; without this Python's exit code is 120."""
    _drop(sys.stderr)


def _drop(stream: IO[str]) -> None:
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
