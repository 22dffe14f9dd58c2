"""What commands over many pictures share: batches worked off one after another, and an account of every picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event
from typing import TypeVar

import typer

from capcli.cli.interrupt import Interrupt
from capcli.cli.messages import tell
from capcli.cli.progress import Bar
from capcli.output import Result
from capcli.runs.tally import Tally

_T = TypeVar("_T")


def work_off(
    batches: Generator[list[_T], None, None],
    keep: Callable[[_T], None],
    tally: Tally,
    *,
    total: int = 0,
    interrupt: Event | None = None,
) -> None:
    """Hand all that comes to `keep`, in order.

    Args:
        batches: of anything; closed at the end.
        keep: may print.
        tally: is told the seconds that it takes.
        total: how many there are, for the progress bar; 0 for no bar.
        interrupt: once set, the batch in hand is the last one.
    """
    start = time.monotonic()
    with closing(batches), Bar(total) as bar:
        for batch in batches:
            with bar.lifted(len(batch)):
                for one in batch:
                    keep(one)
            tally.seconds = time.monotonic() - start
            if interrupt is not None and interrupt.is_set():
                break


def account(result: Result, tally: Tally) -> None:
    """Count a picture, and tell on stderr what it failed by."""
    tally.count(result)
    if result.error is not None:
        tell(f"{result.path}: {result.error}")


def conclude(tally: Tally, interrupt: Interrupt | None, *, alone: bool) -> None:
    """Say what became of the pictures, unless there was but one, and leave by the exit code that this has."""
    if interrupt and interrupt.is_set():
        tell(f"interrupted: {tally}")
        raise typer.Exit(interrupt.exit_code)
    if not alone:
        tell(str(tally))
    nothing = tally.undrawn and not (tally.captioned or tally.skipped)
    if tally.failed or tally.failed_before or nothing:
        raise typer.Exit(1)
