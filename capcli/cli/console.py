"""What people see and hear of a run on their terminal, and how they interrupt it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from capcli.cli.interrupt import Interrupt, finishing
from capcli.cli.messages import inform, tell
from capcli.cli.progress import Bar
from capcli.decoding.options import DecodingKeywords
from capcli.model.options import ModelOptions
from capcli.runs.observer import Observer
from capcli.runs.session import Session, load_captioner
from capcli.runs.tally import Tally


class Console(Observer):
    """Tells of runs on stderr, with a progress bar, and lets Ctrl-C end them.

    Args:
        summary: say at the end what became of the pictures, even if nothing interrupted the run.
    """

    def __init__(self, *, summary: bool = True) -> None:
        self._summary = summary
        self._interrupt = Interrupt()

    def warn(self, line: str) -> None:
        tell(line)

    def inform(self, line: str) -> None:
        inform(line)

    @contextmanager
    def progress(self, total: int | Iterable[object]) -> Iterator[Bar]:
        with Bar(total) as bar:
            yield bar

    @contextmanager
    def interruptible(self) -> Iterator[Interrupt]:
        with finishing() as self._interrupt:
            yield self._interrupt

    def conclude(self, tally: Tally, model: str | None = None) -> None:
        """Says what became of the pictures; raises Exit if the user interrupted the run."""
        self.finish(str(tally), f"{model}: " if model else "")

    def finish(self, account: str, who: str = "") -> None:
        """Says an account of any work; raises Exit if the user interrupted it."""
        if self._interrupt.is_set():
            tell(f"{who}interrupted: {account}")
            raise typer.Exit(self._interrupt.exit_code)
        if self._summary:
            inform(f"{who}{account}")


def open_session(context: typer.Context, model: ModelOptions, decoding: DecodingKeywords, console: Console) -> Session:
    """A session whose model is loaded by the context's object, where whoever calls the command line gives one."""
    return Session(model, decoding, observer=console, load=context.obj or load_captioner)


def leave(tally: Tally) -> None:
    """Raises Exit where pictures failed, or none of them had anything to draw."""
    nothing = tally.undrawn and not (tally.captioned or tally.skipped)
    if tally.failed or tally.failed_before or nothing:
        raise typer.Exit(1)
