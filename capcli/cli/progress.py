"""A progress bar for people, out of the way of everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from threading import Event, Thread
from types import TracebackType

from capcli.cli.messages import is_hushed


class Bar:
    """A bar on stderr, shown only if that is a terminal and there is more than one thing to do.

    Args:
        total: how many things there are; or the things themselves, which are then counted while the work begins. Until
            they are, the bar shows what is done of an unknown number.
    """

    def __init__(self, total: int | Iterable[object]) -> None:
        self._bar, self._over = None, Event()
        if (
            not (isinstance(total, int) and total < 2)
            and not is_hushed()
            and sys.stderr is not None
            and sys.stderr.isatty()
            and os.environ.get("TERM") != "dumb"
        ):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                # Rows of the command's own go to stdout, byte for byte, even if that is the same terminal.
                redirect_stdout=False,
                redirect_stderr=False,
                auto_refresh=False,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total if isinstance(total, int) else None)
            if not isinstance(total, int):
                Thread(target=self._count, args=(total,), name="capcli-count", daemon=True).start()

    def __enter__(self) -> Bar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._bar:
            self._bar.stop()

    def _count(self, things: Iterable[object]) -> None:
        count = sum(1 for _ in takewhile(lambda thing: not self._over.is_set(), things))
        if self._bar and not self._over.is_set():
            self._bar.update(self._task, total=count)

    @contextmanager
    def lifted(self, done: int) -> Iterator[None]:
        """Take the bar away while lines are printed, then show it again, `done` things further."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        yield
        self._bar.advance(self._task, done)
        self._bar.start()

    def reach(self, done: int) -> None:
        """Show that `done` things are done in all."""
        if self._bar:
            self._bar.update(self._task, completed=done, refresh=True)


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """A function that shows, called with what is done and what there is in all, a bar as soon as there is something."""
    with ExitStack() as stack:
        bars: list[Bar] = []

        def count(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(Bar(total)))
            bars[0].reach(done)

        yield count
