"""Who hears of a run while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event
from typing import Protocol

from capcli.runs.tally import Tally


class Progress(Protocol):
    """Shows how far a run is."""

    def lifted(self, done: int) -> AbstractContextManager[None]:
        """Makes room while results are printed, then shows that `done` more pictures are done."""
        ...


class _NoProgress:
    def lifted(self, done: int) -> AbstractContextManager[None]:
        return nullcontext()


class Observer:
    """Hears of a run, and may interrupt it; this one stays silent and lets every run come to its end."""

    def warn(self, line: str) -> None:
        """Hears what the user has to know, such as a picture that failed."""

    def inform(self, line: str) -> None:
        """Hears what is good to know."""

    def progress(self, total: int | Iterable[object]) -> AbstractContextManager[Progress]:
        """Shows the progress of a run.

        Args:
            total: how many pictures the model gets, 0 where nobody knows; or the pictures, for another thread to count
                them in an iteration of its own.
        """
        return nullcontext(_NoProgress())

    @contextmanager
    def interruptible(self) -> Iterator[Event]:
        """Gives an event; once it is set, the run ends with the pictures in hand."""
        yield Event()

    def conclude(self, tally: Tally, model: str | None = None) -> None:
        """Hears what became of the pictures, of several runs also with the name of each run's model.

        It may raise, where nothing is to follow a run that was interrupted.
        """
