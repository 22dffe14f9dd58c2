"""What the formats of rows have in common: a file is a beginning, rows, and an end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from capcli.output import Result, State


class Format:
    """One way to write results as rows of bytes.

    Attributes:
        begin: what a file begins with.
        between: what parts two rows.
        end: what follows the last row; it is overwritten when another row comes.
    """

    begin = b""
    between = b""
    end = b""

    def encode(self, result: Result) -> bytes | None:
        """The row of a result, or None if the format has no row for it."""
        raise NotImplementedError

    def decode(self, row: bytes) -> tuple[Path, State]:
        """The picture of a row and what became of it; raises ValueError for what `encode` did not write."""
        raise NotImplementedError

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        """The whole rows of a file after its beginning, each with the offset at which it ends."""
        end = file.tell()
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
                yield line, end

    def may_be_torn(self, fragment: bytes, *, first: bool) -> bool:
        """Whether what follows the last whole row may be a row that was broken off.

        Args:
            fragment: those bytes, never none.
            first: whether there is no whole row.
        """
        return b"\n" not in fragment
