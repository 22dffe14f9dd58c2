"""Plain tables: CSV with a header, or JSON lines, one caption a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capcli.datasets.dataset import (
    Dataset,
    gather,
    image_folders,
    locate,
    only,
    parse_json,
    read_lines,
    read_text,
)
from capcli.errors import DatasetError

EXPECTS = "a table (.csv or .jsonl with image and caption)"

_SUFFIXES = (".csv", ".jsonl")
_IMAGE_KEYS = ("image", "file", "filename", "file_name", "path")
_CAPTION_KEYS = ("caption", "text")
_SPLITS = {"train": "train", "dev": "dev", "val": "dev", "validation": "dev", "test": "test", "rest": "rest"}


def recognises(path: Path) -> bool:
    """Whether `path` is a .csv or .jsonl file or a folder that holds some."""
    return path.suffix.lower() in _SUFFIXES if path.is_file() else bool(_tables(path))


def read(path: Path, *, missing_ok: bool = False) -> Dataset:
    """Reads a table, or the `captions.csv`, `captions.jsonl` or only table of a folder.

    Every row names a picture under `image` (or `file`, `filename`, `file_name`, `path`), has one caption
    under `caption` (or `text`) and optionally a `split`, else "train"; a picture may have several rows.
    Pictures are named relative to the table's folder or to `images/` in it, or absolutely.

    Raises:
        DatasetError: several tables to choose from, a broken row, an unknown split, missing pictures, or no
            captions.
    """
    source = path if path.is_file() else only(_tables(path), path)
    if source is None:
        raise DatasetError(f"{path}: has no .csv or .jsonl file")
    return gather(source, _captioned(source), missing_ok=missing_ok)


def _tables(folder: Path) -> list[Path]:
    tables = sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    return [table for table in tables if table.stem.lower() == "captions"] or tables


def _captioned(file: Path) -> Iterator[tuple[Path, str, str]]:
    folders = image_folders(file.parent)
    rows = _jsonl_rows(file) if file.suffix.lower() == ".jsonl" else _csv_rows(file)
    for number, row in rows:
        where = f"{file}, line {number}"
        name, caption = _value(row, _IMAGE_KEYS, where), _value(row, _CAPTION_KEYS, where)
        split = str(row.get("split") or "train").strip().lower()
        if split not in _SPLITS:
            raise DatasetError(f"{where}: unknown split {split!r} (known: {', '.join(_SPLITS)})")
        if not name.strip():
            raise DatasetError(f"{where}: names no image")
        yield locate(name.strip(), folders), caption, _SPLITS[split]


def _value(row: dict[str, Any], keys: tuple[str, ...], where: str) -> str:
    for key in keys:
        if isinstance(row.get(key), str):
            return str(row[key])
    raise DatasetError(f"{where}: has no {keys[0]} (a text under {', '.join(keys[:-1])} or {keys[-1]})")


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in reader.fieldnames or []]
        for keys in (_IMAGE_KEYS, _CAPTION_KEYS):
            if not set(keys) & set(header):
                raise DatasetError(f"{file}, line 1: the header has no column {keys[0]!r}")
        reader.fieldnames = header
        for row in reader:
            if None in row:
                raise DatasetError(
                    f"{file}, line {reader.line_num}: more fields than the header (a comma without quotes?)"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise DatasetError(f"{file}, line {reader.line_num}: broken CSV ({error})") from error


def _jsonl_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(file):
        row = parse_json(line, file, first_line=number)
        if not isinstance(row, dict):
            raise DatasetError(f"{file}, line {number}: not a JSON object")
        yield number, row
