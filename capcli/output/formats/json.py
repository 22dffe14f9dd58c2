"""Results as JSON: a line for each, one array of them all, or COCO's list of results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from capcli.files.json import dumps
from capcli.output import Result, State
from capcli.output.formats.contract import Ending, Format


class JsonLines(Format):
    """One object a line: `{"path", "caption", "captions", "confidence", "model"}` or `{"path", "error"}`."""

    start = b'{"path": '
    """How a row begins."""

    def encode(self, result: Result) -> bytes | None:
        return dumps(result.row()) + b"\n"

    def read(self, row: bytes) -> tuple[str, State]:
        # `loads` looks for the encoding first, which takes as long again.
        fields = _decode(row.decode("utf-8", "surrogatepass")) if row.startswith(b'{"') else json.loads(row)
        if not (isinstance(fields, dict) and isinstance(fields.get("path"), str)):
            raise ValueError(_NO_ROW)
        if fields.get("uncertain") is True and ("caption" in fields or "error" in fields):
            return fields["path"], State.UNCERTAIN
        if "caption" in fields:
            return fields["path"], State.CAPTIONED
        if "error" in fields:
            return fields["path"], State.FAILED
        raise ValueError(_NO_ROW)

    def judge(self, row: bytes, *, first: bool) -> Ending | None:
        try:
            self.read(row)
        except ValueError:
            ours = row.startswith(self.start) or self.start.startswith(row)
            return Ending.TORN if ours and b"\n" not in row else None
        # An object that is broken off lacks its last brace.
        return Ending.WHOLE


class JsonArray(JsonLines):
    """One array, closed after every row, so that the file can be read at any time."""

    begin = b"[\n"
    between = b",\n"
    row_end = b""
    end = b"\n]\n"

    def encode(self, result: Result) -> bytes | None:
        return dumps(result.row())

    def rows(self, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
        for line, end in super().rows(file):
            row = line.rstrip(b",\r\n")
            if row and row != b"]":
                yield row, end - len(line) + len(row)

    def strip(self, fragment: bytes) -> bytes:
        return fragment.removeprefix(self.between).rstrip(b",\r\n")


class Coco(JsonArray):
    """The list of results of the COCO caption evaluation: `{"image_id", "caption", ...}`; errors leave no entry.

    `image_id` is the number of 12 digits that ends the names of COCO's pictures, such as
    COCO_val2014_000000391895.jpg, and the path for any other picture.
    """

    start = b'{"image_id": '

    def encode(self, result: Result) -> bytes | None:
        if result.error is not None:
            return None
        number = re.search(r"(?:^|_)(\d{12})$", result.path.stem)
        row = result.row()
        return dumps({"image_id": int(number[1]) if number else row["path"], **row})


_decode = json.JSONDecoder().decode
_NO_ROW = "a row is an object with path, and with caption or error"
