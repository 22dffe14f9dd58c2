"""Rows of files that people keep captions in: JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.datasets.dataset import parse_json, read_lines, read_text
from capcli.errors import DatasetError

IMAGE_KEYS = ("image_id", "image", "path", "file_name", "filename", "file")
"""Under these a row names its image, by its id or by its file."""

CAPTION_KEYS = ("caption", "text")


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
        where: file and line, or file and place in its list.
        fields: what it holds; from a CSV only texts, under lower-case names.
    """

    where: str
    fields: Mapping[str, Any]

    def names(self) -> tuple[str, ...]:
        """What the row calls its image, at least one id or file name; raises DatasetError where there is none."""
        values = [self.fields.get(key) for key in IMAGE_KEYS]
        names = tuple(str(value).strip() for value in values if _is_name(value))
        if not names:
            raise DatasetError(f"{self.where}: names no image (under {', '.join(IMAGE_KEYS[:-1])} or {IMAGE_KEYS[-1]})")
        return names

    def caption(self) -> str | None:
        """The caption on one line, None where the row has none; raises DatasetError where it is no text."""
        for key in CAPTION_KEYS:
            value = self.fields.get(key)
            if isinstance(value, str):
                return " ".join(value.split())
            if value is not None:
                raise DatasetError(f"{self.where}: its {key} is no text")
        return None


def read_records(path: Path) -> list[Record]:
    """The rows of a file whose name ends in `.csv`, or of JSON lines, or of a JSON array of objects.

    Raises:
        DatasetError: it cannot be read, is broken (with the line), or holds something else.
    """
    if path.suffix.lower() == ".csv":
        return _csv(path)
    if read_text(path).lstrip()[:1] != "[":
        return json_lines(path)
    return json_array(parse_json(read_text(path), path), path)


def json_lines(path: Path) -> list[Record]:
    """The objects of a file that has one on every line; raises DatasetError."""
    records = []
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        records.append(_object(parse_json(line, path, first_line=number), where))
    return records


def json_array(values: list[Any], path: Path) -> list[Record]:
    """The objects of the array that `path` holds; raises DatasetError."""
    return [_object(value, f"{path}, entry {number}") for number, value in enumerate(values, 1)]


def _object(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise DatasetError(f"{where}: not a JSON object")
    return Record(where, value)


def _csv(path: Path) -> list[Record]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    records = []
    line = 1  # at which a record begins: a quotation mark that is never closed is found missing only at the end
    try:
        header = [name.strip().lower() for name in reader.fieldnames or []]
        if not set(header) & set(IMAGE_KEYS):
            raise DatasetError(f"{path}, line 1: the header names no image column ({', '.join(IMAGE_KEYS)})")
        reader.fieldnames = header
        line = reader.line_num + 1
        for row in reader:
            where = f"{path}, line {line}"
            if None in row:
                raise DatasetError(f"{where}: more fields than the header (a comma without quotes?)")
            if None in row.values():
                raise DatasetError(f"{where}: fewer fields than the header")
            records.append(Record(where, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}, line {line}: broken CSV ({error})") from None
    return records


def _is_name(value: Any) -> bool:
    # To Python True is a whole number, but it is no id.
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and bool(value.strip()))
