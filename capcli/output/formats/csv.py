"""Results as comma-separated values (RFC 4180), for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from capcli.output import Result, State
from capcli.output.formats.contract import Format

COLUMNS = ("path", "caption", "captions", "confidence", "confidences", "model", "uncertain", "words", "error")


class Csv(Format):
    """A header and a record for every result; lists are JSON, and what there is not is empty.

    A name keeps its bytes: quotes hold its commas and line breaks, and bytes that are no UTF-8 stay as they are.
    """

    begin = (",".join(COLUMNS) + "\n").encode()

    def encode(self, result: Result) -> bytes | None:
        row = result.row()
        cells = [row.get(column, "") for column in COLUMNS]
        return _record([json.dumps(c, ensure_ascii=False) if isinstance(c, (list, bool)) else c for c in cells])

    def decode(self, row: bytes) -> tuple[Path, State]:
        try:
            (record,) = csv.reader(io.StringIO(row.decode("utf-8", "surrogateescape"), newline=""), strict=True)
        except csv.Error as error:
            raise ValueError(str(error)) from None
        if len(record) != len(COLUMNS):
            raise ValueError(f"a record has {len(COLUMNS)} fields")
        cells = dict(zip(COLUMNS, record, strict=True))
        if cells["error"]:
            return Path(cells["path"]), State.FAILED
        return Path(cells["path"]), State.UNCERTAIN if cells["uncertain"] == "true" else State.CAPTIONED

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        record = b""
        for line, end in super().rows(file):
            record += line
            # A line break within quotes belongs to a name.
            if record.count(b'"') % 2 == 0:
                yield record, end
                record = b""

    def may_be_torn(self, fragment: bytes, *, first: bool) -> bool:
        # A line break within a row stands in a name, which then is in quotes from the row's beginning on.
        return fragment.startswith(b'"') or super().may_be_torn(fragment, first=first)


def _record(cells: Sequence[object]) -> bytes:
    # Undecodable bytes are lone surrogates of one kind, and Windows has names with others.
    errors = "surrogatepass" if os.name == "nt" else "surrogateescape"
    return (",".join(_cell(str(cell)) for cell in cells) + "\n").encode("utf-8", errors)


def _cell(text: str) -> str:
    # csv.writer leaves a carriage return unquoted, at which readers end the record.
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text
