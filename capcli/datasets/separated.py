"""Separated values, such as CSV, as spreadsheets and data frames save them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import DatasetError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# The first line by which a file names its separator to Excel.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?(\r\n?|\n|$)', re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The first line of a table.

    Attributes:
        columns: their names in lower case.
        separator: what stands between two of them, one character.
        line: its number, counted from 1.
        start: its place in the text, in characters.
    """

    columns: tuple[str, ...]
    separator: str
    line: int = 1
    start: int = 0


def read_header(text: str, known: Set[str]) -> Header:
    """The header of a table, by the separator that Excel's `sep=;` names, or else that shows most of the known columns.

    Args:
        text: the whole table.
        known: lower-case names of columns.
    """
    separator_line = _SEPARATOR_LINE.match(text)
    line, start = (2, separator_line.end()) if separator_line else (1, 0)
    first = re.split(r"[\r\n]", text[start : start + 65536], maxsplit=1)[0]
    headers = [
        Header(tuple(_names(next(csv.reader([first], delimiter=separator), []))), separator, line, start)
        for separator in (separator_line[1] if separator_line else _SEPARATORS)
    ]
    return max(headers, key=lambda header: len(known & set(header.columns)))


def read_rows(text: str, header: Header, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows after a header, each with the number of its first line.

    Blank lines are no rows, nor are those of empty cells, and empty cells beyond the header are no fields:
    spreadsheets save what was once filled.

    Raises:
        DatasetError: a row has more or fewer fields than the header, or a quotation mark is not closed.
    """
    reader = csv.reader(io.StringIO(text[header.start :], newline=""), delimiter=header.separator, strict=True)
    before = header.line - 1
    line = header.line  # at which a row begins: a quotation mark that is never closed is found missing only at the end
    try:
        columns = _names(next(reader, []))
        line = before + reader.line_num + 1
        for cells in reader:
            if any(cells[len(columns) :]):
                name = _SEPARATORS.get(header.separator, header.separator)
                raise DatasetError(f"{path}, line {line}: more fields than the header (a {name} without quotes?)")
            if any(cells):
                if len(cells) < len(columns):
                    raise DatasetError(f"{path}, line {line}: fewer fields than the header")
                yield line, dict(zip(columns, cells, strict=False))
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}, line {line}: broken CSV ({error})") from None


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]
