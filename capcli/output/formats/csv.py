"""Results as comma-separated values (RFC 4180), for spreadsheets and data frames."""

from __future__ import annotations

import codecs
import csv
import functools
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from capcli.datasets.separated import read_header
from capcli.files.csv import encode_record
from capcli.output import Result, State
from capcli.output.formats.contract import Ending, Format, Saved

if TYPE_CHECKING:
    import _csv

COLUMNS = ("path", "caption", "captions", "confidence", "confidences", "model", "uncertain", "words", "error")

REVIEW_COLUMNS = ("status", "version", "copied_from")
"""Of rows of a library: by the first two `capcli library import` knows what a person changed since the export."""


class Csv(Format):
    """A header and a record for every result; lists are JSON, and what there is not is empty."""

    begin = encode_record(COLUMNS)
    _columns: Sequence[str] = COLUMNS

    def __init__(self, *, with_keywords: bool = False, with_review: bool = False) -> None:
        more = (("keywords",) if with_keywords else ()) + (REVIEW_COLUMNS if with_review else ())
        if more:
            self._columns = (*COLUMNS, *more)
            self.begin = encode_record(self._columns)

    def encode(self, result: Result) -> bytes | None:
        return _record(result, self._columns, ",")

    def read(self, row: bytes) -> tuple[str, State]:
        return self._state(self._split(row))

    def continuing(self, head: bytes) -> Format:
        """The same table as a spreadsheet saved it: by another separator, in another order, with more columns."""
        if head.startswith(self.begin) or self.begin.startswith(head):
            return self
        super().continuing(head)
        text = head.decode("utf-8-sig", "surrogateescape")
        header = read_header(text, set(self._columns))
        lacking = [column for column in self._columns if header.columns.count(column) != 1]
        line, newline, _ = text[header.start :].partition("\n")
        if lacking or not newline:
            raise ValueError(f"its header lacks {', '.join(lacking) or 'a line end'}")
        mark = head[: len(head) - len(head.removeprefix(codecs.BOM_UTF8))]
        begin = mark + f"{text[: header.start]}{line}\n".encode("utf-8", "surrogateescape")
        return Saved(_Table(header.columns, header.separator), begin, b"\r\n" if line.endswith("\r") else b"\n")

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        record = b""
        for line, end in super().rows(file):
            record += line
            # A line break within quotes belongs to a name.
            if record.count(b'"') % 2 == 0:
                yield record, end
                record = b""

    def judge(self, row: bytes, *, first: bool) -> Ending | None:
        if self._goes_on(row):
            return None
        try:
            cells = self._split(row)
        except ValueError:
            return Ending.TORN
        fields = dict(zip(self._columns, cells, strict=False))
        if not (fields.get("path") and (fields.get("caption") or fields.get("error"))):
            return Ending.TORN
        last = self._columns[-1]
        # Behind a caption there is no error, and half a list is none.
        ended = not fields.get(last) if last == "error" else last == "keywords" and _is_list(fields.get(last, ""))
        return Ending.WHOLE if ended and len(cells) >= len(self._columns) else Ending.DOUBTFUL

    def _goes_on(self, row: bytes) -> bool:
        """Whether a row without a line end holds more than one, because a quotation mark was put in or left out."""
        # A line break within a row stands in a name, which then is in quotes from the row's beginning on.
        name = re.match(rb'"(?:[^"]|"")*', row)
        rest = row[name.end() :] if name else row
        if rest or name is None:
            return b"\n" in rest
        return any(self._reads(line) for line in row.split(b"\n")[1:])

    def _reads(self, row: bytes) -> bool:
        try:
            self.read(row)
        except ValueError:
            return False
        return True

    def _split(self, row: bytes) -> list[str]:
        """The cells of a record; raises ValueError where they are too few or too many."""
        cells = _cells(row.decode("utf-8", "surrogateescape"), ",")
        if len(cells) != len(self._columns):
            raise ValueError(f"a record has {len(self._columns)} fields")
        return cells

    def _state(self, cells: Sequence[str]) -> tuple[str, State]:
        path, error, uncertain = (cells[place] for place in self._places)
        if not path:
            raise ValueError("a record has a path")
        if error:
            return path, State.FAILED
        # Spreadsheets write true in capitals, and in the language of the country.
        return path, State.UNCERTAIN if uncertain else State.CAPTIONED

    @functools.cached_property
    def _places(self) -> list[int]:
        return [list(self._columns).index(column) for column in ("path", "error", "uncertain")]


class _Table(Csv):
    """The records of a table that a spreadsheet saved."""

    def __init__(self, columns: Sequence[str], separator: str) -> None:
        self._columns, self._separator = columns, separator

    def encode(self, result: Result) -> bytes | None:
        return _record(result, self._columns, self._separator)

    def read(self, row: bytes) -> tuple[str, State]:
        cells = self._split(row)
        # Spreadsheets may leave out what separates empty cells at the end.
        return self._state([*cells, *[""] * (len(self._columns) - len(cells))])

    def _split(self, row: bytes) -> list[str]:
        try:
            cells = _cells(row.decode(), self._separator)
        except UnicodeDecodeError:
            raise ValueError("it is not in UTF-8") from None
        if any(cells[len(self._columns) :]):
            raise ValueError(f"a record has at most {len(self._columns)} fields")
        return cells


def _record(result: Result, columns: Sequence[str], separator: str) -> bytes:
    row = {"version": result.version, **result.row()}
    values = [row.get(column) for column in columns]
    cells = (json.dumps(value, ensure_ascii=False) if isinstance(value, (list, bool)) else value for value in values)
    return encode_record(cells, separator=separator)


def _cells(record: str, separator: str) -> list[str]:
    # Line by line only where there may be several: a stream for each record takes as long as to read it.
    lines = io.StringIO(record, newline="") if "\r" in record or record.count("\n") > 1 else (record,)
    try:
        (cells,) = csv.reader(lines, _dialect(separator))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return cells


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


@functools.lru_cache
def _dialect(separator: str) -> _csv.Dialect:
    return csv.reader((), delimiter=separator, strict=True).dialect
