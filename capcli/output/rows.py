"""Rows of results: on a stream, or in a file that loses none, whatever ends the run that writes it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from capcli.errors import UsageError
from capcli.output import Result, State
from capcli.output.formats.contract import Ending, Format
from capcli.output.growing import GrowingFile, foreign
from capcli.output.held import Held
from capcli.output.kept import Endless, Faithful
from capcli.output.resume_record import ResumeRecord

_MOST_SHOWN = 1000
"""Characters of a row that a note shows."""


class RowStream:
    """Writes results to a pipe, a terminal or a device; as a context manager it closes what the format opens.

    Args:
        stream: takes bytes, e.g. `sys.stdout.buffer`; flushed after every row.
        format: how a row looks.
    """

    def __init__(self, stream: BinaryIO, format: Format) -> None:
        self._stream, self._format = stream, format
        self._begun = False

    def write(self, result: Result) -> None:
        row = self._format.encode(result)
        if row is not None:
            self._put((self._format.between if self._begun else self._format.begin) + row)
            self._begun = True

    def __enter__(self) -> RowStream:
        # A stream that takes nothing is found before any work is done for it.
        self._put(b"")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._begun:
            self._put(self._format.end)
        elif kind is None:
            self._put(self._format.begin + self._format.end)

    def _put(self, content: bytes) -> None:
        self._stream.write(content)
        self._stream.flush()


class RowFile(Endless, Faithful):
    """Keeps results in a file of its own, appended row by row; what is written stays whole at any moment.

    A run that was killed, or that filled the disk, may leave its last row broken off. Opening the file again
    recognises that row and drops it. A last row that only lacks its line end, as editors leave it, stays and gets one;
    where nothing tells which of both it is, it stays until its picture is captioned again. Where another program saved
    the rows since, such as a spreadsheet, they stay as they are, and new ones follow in its way: by its line ends,
    separator and columns. While it is open no other process can open it so.

    Args:
        path: the file.
        format: how its rows look.
        resume: keep the rows of an existing file and append to them.
        overwrite: put new rows in place of those of an existing file; they stay until the first one comes.

    Attributes:
        notes: what the user must know of rows that were there, a line each.

    Raises:
        UsageError: if the file exists and neither is asked for, if it holds something else, if another process
            writes it, or if it cannot be opened.
    """

    def __init__(self, path: Path, format: Format, *, resume: bool = False, overwrite: bool = False) -> None:
        self._name, self._file = path, GrowingFile(path, format)
        self._held = Held()
        self._doubtful: tuple[str, str] | None = None  # the key of the picture whose row may be half of one
        self.notes: list[str] = []
        try:
            if self._file.size and not overwrite:
                if not resume:
                    raise UsageError(f"{path} exists; --resume goes on with it, --overwrite begins anew")
                self._read()
        except BaseException:
            self._file.close(finished=False)
            raise

    def state(self, path: Path) -> State | None:
        """What the file held of a picture when it was opened."""
        return self._held.state(os.fspath(path))

    def states(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What the file held of pictures of a folder when it was opened."""
        return self._held.states(os.fspath(folder), names)

    @property
    def count(self) -> int:
        """How many pictures it held rows of when it was opened, but for those dropped since."""
        return len(self._held) + (self._doubtful is not None)

    def record(self, options: Mapping[str, object], *, resumes: bool, anyway: bool) -> ResumeRecord:
        """The record of what made its rows, which lies beside it."""
        return ResumeRecord.of_file(self._name, options, holds=self.count > 0, resumes=resumes, anyway=anyway)

    def is_file(self, path: Path) -> bool:
        """Whether `path` leads to this very file."""
        return self._file.is_file(path)

    def write(self, result: Result) -> bool:
        """Append the row of a result, if the format has one; raises CapcliError where the disk does not take it."""
        row = self._file.format.encode(result)
        if row is not None:
            if self._doubtful is not None and self._held.key(os.fspath(result.path)) == self._doubtful:
                self._drop({self._doubtful})
                self._doubtful = None
            self._file.append(row)
        return row is not None

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop the rows of pictures that are about to be captioned again; raises CapcliError."""
        if gone := self._held.keys(map(os.fspath, paths)):
            self._drop(gone)
            self._held.drop(gone)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close(finished=kind is None)

    def _drop(self, gone: Collection[tuple[str, str]]) -> None:
        """Take rows out of the file by the keys of their pictures."""
        self._file.rewrite(lambda row: self._held.key(self._file.format.read(row)[0]) not in gone)

    def _read(self) -> None:
        for number, row in enumerate(self._file.read(), 1):
            try:
                path, state = self._file.format.read(row)
            except ValueError as error:
                raise foreign(self._name, f"row {number}: {error}") from None
            if self._file.ending[0] is Ending.DOUBTFUL:
                self._doubtful = self._held.key(path)
            else:
                self._held.put(path, state)
        ending, row = self._file.ending
        if ending is Ending.DOUBTFUL:
            what = "has no line end and may be half a row; it stays unless its picture is captioned again"
            self.notes.append(f"{self._name}: the last row {what}: {_shown(row)}")
        elif ending is Ending.TORN:
            self.notes.append(f"{self._name}: the last row was half a row and is cut off: {_shown(row)}")


def _shown(row: bytes) -> str:
    text = row.decode(errors="backslashreplace")
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
