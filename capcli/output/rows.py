"""Rows of results: on a stream, or in a file that loses none, whatever ends the run that writes it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import replacing, write_whole
from capcli.files.lock import open_locked
from capcli.output import Result, State
from capcli.output.formats.contract import Format


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


class RowFile:
    """Keeps results in a file of its own, appended row by row; what is written stays whole at any moment.

    A run that was killed, or that filled the disk, may leave its last row broken off. Opening the file again
    recognises that row and drops it. Where another program saved the rows since, such as a spreadsheet, they stay as
    they are, and new ones follow in its way: by its line ends, separator and columns. While it is open no other process
    can open it so.

    Args:
        path: the file.
        format: how its rows look.
        resume: keep the rows of an existing file and append to them.
        overwrite: put new rows in place of those of an existing file; they stay until the first one comes.

    Raises:
        UsageError: if the file exists and neither is asked for, if it holds something else, if another process
            writes it, or if it cannot be opened.
    """

    def __init__(self, path: Path, format: Format, *, resume: bool = False, overwrite: bool = False) -> None:
        self._name, self._path, self._format = path, Path(os.path.realpath(path)), format
        self._states: dict[str, State] = {}
        self._end = 0
        self._file = self._open()
        try:
            if self._size() and not overwrite:
                if not resume:
                    raise UsageError(f"{path} exists; --resume goes on with it, --overwrite begins anew")
                self._read()
        except BaseException:
            self._file.close()
            raise

    def state(self, path: Path) -> State | None:
        """What the file holds of a picture."""
        return self._states.get(_key(path))

    @property
    def count(self) -> int:
        """How many pictures it holds rows of."""
        return len(self._states)

    def is_file(self, path: Path) -> bool:
        """Whether `path` leads to this very file."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except (OSError, ValueError):
            return False

    def write(self, result: Result) -> None:
        """Append the row of a result, if the format has one; raises CapcliError where the disk does not take it."""
        row = self._format.encode(result)
        if row is not None:
            self._append(row)
            self._states[_key(result.path)] = result.state

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop the rows of pictures that are about to be captioned again; raises CapcliError."""
        gone = {_key(path) for path in paths}
        if self._states.keys().isdisjoint(gone):
            return
        end = 0
        try:
            with replacing(self._path) as file:
                for row, _ in self._rows():
                    if _key(self._format.decode(row)[0]) not in gone:
                        row = (self._format.between if end else self._format.begin) + row
                        write_whole(file, row)
                        end += len(row)
                write_whole(file, self._format.end if end else b"")
        except OSError as error:
            raise self._failed(error) from None
        self._file.close()
        # Still locked, so that no other process got between; on Windows it had to be closed.
        self._file = self._open() if file.closed else file
        self._end = end
        self._states = {key: state for key, state in self._states.items() if key not in gone}

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and not self._end:
                self._append(b"")
            elif not self._size():
                with suppress(OSError):
                    self._path.unlink()
        finally:
            self._file.close()

    def _open(self) -> io.FileIO:
        try:
            file = open_locked(self._path)
        except OSError as error:
            raise UsageError(f"{self._name}: {system_reason(error)}") from None
        if file is None:
            raise UsageError(f"{self._name} is being written by another run; wait for it, or name another file")
        return file

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _read(self) -> None:
        self._file.seek(0)
        head = self._file.read(1 << 16)
        try:
            self._format = self._format.continuing(head)
        except ValueError as error:
            raise self._foreign(str(error)) from None
        begin = self._format.begin
        if not (head.startswith(begin) or begin.startswith(head)):
            raise self._foreign("its beginning is another")
        if head.startswith(begin):
            self._end = len(begin)
            for number, (row, end) in enumerate(self._rows(), 1):
                try:
                    path, state = self._format.decode(row)
                except ValueError as error:
                    raise self._foreign(f"row {number}: {error}") from None
                self._states[_key(path)] = state
                self._end = end
            self._file.seek(self._end)
            fragment = self._file.read()
            known = any(part.startswith(fragment) for part in (self._format.between, self._format.end))
            if fragment and not known and not self._format.may_be_torn(fragment, first=not self._states):
                raise self._foreign(
                    f"what follows row {len(self._states)} is none" if self._states else "it has no row"
                )
        if self._size() > self._end + len(self._format.end):
            self._file.truncate(self._end)
        if self._end:
            self._put(self._format.end)

    def _rows(self) -> Iterator[tuple[bytes, int]]:
        self._file.seek(len(self._format.begin))
        with open(self._file.fileno(), "rb", closefd=False) as buffered:
            yield from self._format.rows(buffered)

    def _append(self, row: bytes) -> None:
        if not self._end:
            before = self._format.begin
        else:
            before = b"" if self._end == len(self._format.begin) else self._format.between
        try:
            if not self._end:
                self._file.truncate(0)
            self._put(before + row + self._format.end)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
                if self._end:
                    self._put(self._format.end)
            raise self._failed(error) from None
        self._end += len(before + row)

    def _put(self, content: bytes) -> None:
        """Write from the end of the last row on."""
        self._file.seek(self._end)
        write_whole(self._file, content)

    def _failed(self, error: OSError) -> CapcliError:
        return CapcliError(
            f"{self._name}: {system_reason(error)}; the rows it holds are whole, and --resume goes on from them"
        )

    def _foreign(self, why: str) -> UsageError:
        return UsageError(f"{self._name} does not hold rows of this format ({why}); name another file")


def _key(path: Path) -> str:
    """The same for every spelling of a path that does not go through links."""
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
