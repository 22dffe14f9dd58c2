"""What the formats of rows have in common: a file is a beginning, rows, and an end."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from capcli.output import Result, State


class Ending(Enum):
    """What the last row of a file may be, where its line end is missing."""

    WHOLE = "a row"
    DOUBTFUL = "a row, or the first part of one"
    TORN = "the first part of a row"


class Format:
    """One way to write results as rows of bytes.

    Attributes:
        begin: what a file begins with.
        between: what parts two rows.
        row_end: what every row ends with.
        end: what follows the last row; it is overwritten when another row comes.

    Args:
        with_keywords: whether results have keywords, for formats whose beginning says so.
        with_review: whether results are rows of a library, which have a status and a version, for the same formats.
    """

    begin = b""
    between = b""
    row_end = b"\n"
    end = b""

    def __init__(self, *, with_keywords: bool = False, with_review: bool = False) -> None:
        pass

    def encode(self, result: Result) -> bytes | None:
        """The row of a result, or None if the format has no row for it."""
        raise NotImplementedError

    def decode(self, row: bytes) -> tuple[Path, State]:
        """The picture of a row and what became of it; raises ValueError for what `encode` did not write."""
        name, state = self.read(row)
        return Path(name), state

    def read(self, row: bytes) -> tuple[str, State]:
        """The same without making a path, which takes longer than all else where rows are very many."""
        raise NotImplementedError

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        """The whole rows of a file after its beginning, each with the offset at which it ends."""
        end = file.tell()
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
                yield line, end

    def continuing(self, head: bytes) -> Format:
        """This format as a file has it that another program may have saved since: after its byte order mark, say.

        Args:
            head: what the file begins with, 64 KiB or all of it.

        Raises:
            ValueError: no row of this format can follow.
        """
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError("it is in UTF-16, not UTF-8")
        mark = head[: len(codecs.BOM_UTF8)] if head.startswith(codecs.BOM_UTF8) else b""
        newline = b"\r\n" if head.partition(b"\n")[0].endswith(b"\r") else b"\n"
        if not mark and newline == b"\n":
            return self
        return Saved(self, mark + self.begin.replace(b"\n", newline), newline)

    def strip(self, fragment: bytes) -> bytes:
        """The row in what follows the last whole row, without what parts rows and what ends one."""
        return fragment

    def judge(self, row: bytes, *, first: bool) -> Ending | None:
        """What the last row of a file may be that has no line end; None for something else than a row.

        Args:
            row: without its line end.
            first: whether there is no other row.
        """
        if b"\n" in row:
            return None
        try:
            self.read(row)
        except ValueError:
            return Ending.TORN
        return Ending.DOUBTFUL


class Saved(Format):
    """A format as another program saved a file of it.

    Args:
        format: the rows.
        begin: what the file begins with.
        newline: how its lines end.
    """

    def __init__(self, format: Format, begin: bytes, newline: bytes) -> None:
        self._format, self._newline = format, newline
        self.begin = begin
        parts = (format.between, format.row_end, format.end)
        self.between, self.row_end, self.end = (part.replace(b"\n", newline) for part in parts)

    def encode(self, result: Result) -> bytes | None:
        row = self._format.encode(result)
        return row[:-1] + self._newline if row is not None and row.endswith(b"\n") else row

    def read(self, row: bytes) -> tuple[str, State]:
        return self._format.read(row)

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        return self._format.rows(file)

    def strip(self, fragment: bytes) -> bytes:
        return self._format.strip(fragment.removeprefix(self.between).removesuffix(self._newline[:-1]))

    def judge(self, row: bytes, *, first: bool) -> Ending | None:
        return self._format.judge(row, first=first)
