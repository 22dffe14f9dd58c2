"""What a run reports: a CSV file for programs, a progress bar or plain lines for people."""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from capcli.datasets.separated import read_header
from capcli.errors import CapcliError, system_reason
from capcli.files.atomic import write_atomic
from capcli.files.csv import encode_record
from capcli.files.names import printable

COLUMNS = (
    *("stage", "epoch", "step", "loss", "reward", "discriminator_accuracy", "temperature", "drift", "learning_rate"),
    *("images_per_second", "dev", "metric", "score"),
)


def say(text: str) -> None:
    """Prints one line on stderr; no name in it can steer the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


class TrainingLog:
    """Appends rows to `log.csv` and shows progress on stderr.

    Args:
        path: the CSV file; created with a header where it is missing.
        resume_at: (stage, epoch, step) that training goes on from; later rows are dropped, so that a killed run
            leaves no row twice.
        quiet: writes and shows nothing, for a process that another one speaks for.

    Raises:
        CapcliError: here and from `row`, if the file cannot be written.
    """

    def __init__(self, path: Path, resume_at: tuple[int, int, int] | None, *, quiet: bool = False) -> None:
        self._path, self._quiet = path, quiet
        if not quiet:
            kept = _rows_before(path, resume_at) if resume_at and path.exists() else []
            content = b"".join(encode_record(row) for row in (COLUMNS, *kept))
            try:
                write_atomic(path, content)
            except OSError as error:
                raise _unwritable(path, error) from None
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self._console,
            disable=quiet or not self._console.is_terminal, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._started, self._seen = time.monotonic(), 0

    def __enter__(self) -> TrainingLog:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """`say`, above the progress bar."""
        if self._quiet:
            return
        if self._console.is_terminal:
            self._console.print(printable(text), highlight=False, markup=False)
        else:
            say(text)

    def begin(self, description: str, total: int, done: int = 0) -> None:
        """Starts a progress bar of `total` pictures."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(description, total=total, completed=done, note="")
        self._started, self._seen = time.monotonic(), 0

    def advance(self, pictures: int, note: str = "") -> float:
        """Moves the bar on and returns pictures per second since `begin`."""
        assert self._task is not None, "begin comes first"
        self._seen += pictures
        rate = self._seen / max(1e-9, time.monotonic() - self._started)
        self._progress.update(self._task, advance=pictures, note=f"{note} {rate:.1f} images/s")
        return rate

    def row(self, **values: object) -> None:
        """Appends a row of `COLUMNS`; what is not given stays empty."""
        if self._quiet:
            return
        tidy = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in values.items()}
        try:
            with self._path.open("ab") as file:
                file.write(encode_record(tidy.get(column) for column in COLUMNS))
        except OSError as error:
            raise _unwritable(self._path, error) from None


def _unwritable(path: Path, error: OSError) -> CapcliError:
    return CapcliError(f"{path}: cannot be written ({system_reason(error)})")


def _rows_before(path: Path, position: tuple[int, int, int]) -> list[list[str | None]]:
    kept = []
    # As names of data sets are any bytes. A spreadsheet may have saved it, with a mark and a separator of its own.
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        text = file.read()
    header = read_header(text, set(COLUMNS))
    table = io.StringIO(text[header.start :], newline="")
    for row in csv.DictReader(table, delimiter=header.separator):
        try:
            place = (int(row["stage"]), int(row["epoch"]), int(row["step"]))
        except (KeyError, TypeError, ValueError):
            continue
        # Dev scores at the very position come from a judgement that the state does not know of; it is repeated.
        if place < position or (place == position and not row.get("dev")):
            kept.append([row.get(column) for column in COLUMNS])
    return kept
