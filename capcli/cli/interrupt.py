"""Ctrl-C that lets the work in hand be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt(threading.Event):
    """Set once the user, or the system, wants the command to end.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, 0 before.
    """

    exit_code = 0


@contextmanager
def finishing() -> Iterator[Interrupt]:
    """Make the first Ctrl-C or SIGTERM set an `Interrupt` for the command to heed; the second one ends it at once."""
    asked = Interrupt()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.exit_code = 128 + number
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
