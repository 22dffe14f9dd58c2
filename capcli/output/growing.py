"""A file that grows row by row and is whole at any moment, whatever ends the process that writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import replacing, write_whole
from capcli.files.lock import open_output
from capcli.output.formats.contract import Ending, Format


class GrowingFile:
    """The beginning, the rows and the end that a format gives a file; no other process can open it so meanwhile.

    Args:
        path: the file, made if it is not there; what it holds stays until the first row comes, or is read.
        format: how it looks.

    Raises:
        UsageError: if it cannot be opened, or another process writes it.
    """

    def __init__(self, path: Path, format: Format) -> None:
        self._name, self._path, self._format = path, Path(os.path.realpath(path)), format
        self._end = 0  # of the last row
        self._ending: Ending | None = None
        self._fragment = b""
        self._file = open_output(self._path, path)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def format(self) -> Format:
        """How it looks: as asked for or, once it is read, as another program saved it since."""
        return self._format

    def is_file(self, path: Path) -> bool:
        """Whether `path` leads to this very file."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._file.fileno()))  # noqa: PTH116 - a long list of paths
        except (OSError, ValueError):
            return False

    def read(self) -> Iterator[bytes]:
        """The rows that it holds, to go on behind them.

        A last one without a line end gets it; where it cannot be whole it is dropped. `ending` says what it was.

        Raises:
            UsageError: if it holds something else.
            CapcliError: if the disk does not take the line end.
        """
        self._file.seek(0)
        head = self._file.read(1 << 16)
        try:
            self._format = self._format.continuing(head)
        except ValueError as error:
            raise foreign(self._name, str(error)) from None
        begin, count = self._format.begin, 0
        if not (head.startswith(begin) or begin.startswith(head)):
            raise foreign(self._name, "its beginning is another")
        if head.startswith(begin):
            self._end = len(begin)
            for row, end in self._rows():
                yield row
                self._end, count = end, count + 1
            self._file.seek(self._end)
            fragment = self._file.read()
            if fragment and not any(part.startswith(fragment) for part in (self._format.between, self._format.end)):
                row = self._format.strip(fragment)
                self._ending, self._fragment = self._format.judge(row, first=not count), row
                if self._ending is None:
                    raise foreign(self._name, f"what follows row {count} is none" if count else "it has no row")
                if self._ending is not Ending.TORN:
                    yield row + self._format.row_end
                    self._complete((self._format.between if count else b"") + row + self._format.row_end)
        if self.size > self._end + len(self._format.end):
            self._file.truncate(self._end)
        if self._end:
            self._put(self._format.end)

    @property
    def ending(self) -> tuple[Ending | None, bytes]:
        """What the last row was that `read` came to, if it had no line end, and that row; else None, and nothing."""
        return self._ending, self._fragment

    def append(self, row: bytes) -> None:
        """Write a row behind the others; raises CapcliError where the disk does not take it."""
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
            raise _failed(self._name, error) from None
        self._end += len(before + row)

    def rewrite(self, keep: Callable[[bytes], bool]) -> None:
        """Put a file in its place that has those rows alone which `keep` wants; raises CapcliError."""
        end = 0
        try:
            with replacing(self._path) as file:
                for row, _ in self._rows():
                    if keep(row):
                        row = (self._format.between if end else self._format.begin) + row
                        write_whole(file, row)
                        end += len(row)
                write_whole(file, self._format.end if end else b"")
        except OSError as error:
            raise _failed(self._name, error) from None
        self._file.close()
        # Still locked, so that no other process got between; on Windows it had to be closed.
        self._file = open_output(self._path, self._name) if file.closed else file
        self._end = end

    def close(self, *, finished: bool) -> None:
        """Close it; without rows it has a beginning and an end where the run is `finished`, and is gone where not."""
        try:
            if finished and not self._end:
                self.append(b"")
            elif not self.size:
                with suppress(OSError):
                    self._path.unlink()
        finally:
            self._file.close()

    def _rows(self) -> Iterator[tuple[bytes, int]]:
        self._file.seek(len(self._format.begin))
        with open(self._file.fileno(), "rb", closefd=False) as buffered:
            yield from self._format.rows(buffered)

    def _complete(self, row: bytes) -> None:
        """Write the last row again, with its line end."""
        try:
            self._put(row)
        except OSError as error:
            raise _failed(self._name, error) from None
        self._end += len(row)

    def _put(self, content: bytes) -> None:
        """Write from the end of the last row on."""
        self._file.seek(self._end)
        write_whole(self._file, content)


def foreign(path: Path, why: str) -> UsageError:
    """The error for a file that holds something else."""
    return UsageError(f"{path} does not hold rows of this format ({why}); name another file")


def _failed(path: Path, error: OSError) -> CapcliError:
    return CapcliError(f"{path}: {system_reason(error)}; the rows it holds are whole, and --resume goes on from them")
