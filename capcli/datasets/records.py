"""Rows of files that people keep captions in: JSON, JSON lines, CSV, lines of text or Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.datasets.dataset import parse_json, read_lines, read_text
from capcli.datasets.separated import Header, read_header, read_rows
from capcli.errors import DatasetError, system_reason
from capcli.files.text_row import read_text_row

IMAGE_KEYS = ("image_id", "image", "path", "file_name", "filename", "file")
"""Under these a row names its image, by its id or by its file."""

CAPTION_KEYS = ("caption", "text")

_LINES = (".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv")
_SECTIONS = frozenset(("images", "annotations"))
_IMAGES = frozenset(IMAGE_KEYS)
_CAPTIONS = frozenset((*CAPTION_KEYS, "captions"))
_KNOWN = _IMAGES | _CAPTIONS
_PATHS = _IMAGES | {"copied_from"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
        where: file and line, or file and place in its list.
        fields: what it holds; from a table only texts, under lower-case names.
    """

    where: str
    fields: Mapping[str, object]

    def names(self) -> tuple[str, ...]:
        """What the row calls its image, at least one id or file name; raises DatasetError where there is none."""
        values = [self.fields.get(key) for key in IMAGE_KEYS]
        names = tuple(str(value).strip() for value in values if _is_name(value))
        if not names:
            raise DatasetError(f"{self.where}: names no image (under {', '.join(IMAGE_KEYS[:-1])} or {IMAGE_KEYS[-1]})")
        return names

    def caption(self) -> str | None:
        """The one caption as it is written, "" for a blank one; None where the row has none.

        Raises:
            DatasetError: it is no text.
        """
        for key in CAPTION_KEYS:
            value = self.fields.get(key)
            if isinstance(value, str):
                return value if value.strip() else ""
            if value is not None:
                raise DatasetError(f"{self.where}: its {key} is no text")
        return None

    def confidence(self) -> float | None:
        """The confidence of the caption, None where the row has none; raises DatasetError if it is not from 0 to 1."""
        value: Any = self.fields.get("confidence")  # float refuses what is no number
        if value is None or value == "":
            return None
        try:
            # In many countries spreadsheets save 0,25 for 0.25.
            confidence = float(value.replace(",", ".") if isinstance(value, str) else value)
        except (TypeError, ValueError, OverflowError):
            confidence = -1.0
        if not 0 <= confidence <= 1:
            raise DatasetError(f"{self.where}: its confidence is {value!r}, not a number from 0 to 1")
        return confidence

    def captions(self) -> list[str]:
        """Those under `captions`, else the one caption, as they are written; raises DatasetError if there is none."""
        value = self.fields.get("captions")
        if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a CSV
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise DatasetError(f"{self.where}: its captions are no JSON list ({error})") from None
        if value is None:
            caption = self.caption()
            if caption is None:
                raise DatasetError(f"{self.where}: has neither {' nor '.join((*CAPTION_KEYS, 'captions'))}")
            return [caption]
        captions = _texts(value)
        if captions is None:
            raise DatasetError(f"{self.where}: its captions are no list of texts")
        return captions


def read_records(path: Path) -> list[Record]:
    """The rows of a table, of JSON lines, of a JSON array of objects, of {image: captions}, or of `path<TAB>caption`.

    What its name ends in says which it is: Parquet for .parquet and for a folder with such files, a table for .csv and
    .tsv, JSON for .json, .jsonl and .ndjson; in any other
    file its first line says so. A table has a header, whose columns are separated by commas, semicolons, tabs or bars,
    and Excel's `sep=;` may stand above it. Only in a .csv it cannot be left out: other tables without one hold the rows
    that capcli writes as text.

    A path in a table or in lines of text may have bytes that are no UTF-8, as names of files may; nothing else may.

    Raises:
        DatasetError: it cannot be read, is broken (with the line), holds something else, or names an image twice where
            that would lose captions.
    """
    if path.suffix.lower() == ".parquet" or path.is_dir():
        return _parquet(path)
    ending = path.suffix.lower()
    if ending in _LINES:
        return _lines(path)
    text = read_text(path, with_names=True)
    if ending not in _TABLES and (ending == ".json" or text.lstrip()[:1] in ("", "{", "[")):
        text = read_text(path)  # JSON has an escape for what is no UTF-8
        if text.lstrip().startswith("["):
            return _array(parse_json(text, path), path)
        return _one_object(text, path) if _is_one_object(text) else _lines(path)
    header = read_header(text, _KNOWN)
    if ending == ".csv" or (_IMAGES.intersection(header.columns) and _CAPTIONS.intersection(header.columns)):
        return _table(path, text, header)
    return _rows_of_text(path, text)


def _parquet(path: Path) -> list[Record]:
    from capcli.files.parquet import read_parquet

    try:
        return [Record(f"{part}, row {number}", row) for number, (part, row) in enumerate(read_parquet(path), 1)]
    except OSError as error:
        raise DatasetError(f"{path}: {system_reason(error)}") from None
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None


def _lines(path: Path) -> list[Record]:
    records = []
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        records.append(_object(parse_json(line, path, first_line=number), where))
    return records


def _array(values: list[object], path: Path) -> list[Record]:
    return [_object(value, f"{path}, entry {number}") for number, value in enumerate(values, 1)]


def _is_one_object(text: str) -> bool:
    """Whether it can only be a single JSON object: the first of its lines is none, or is all there is."""
    first, _, rest = text.strip().partition("\n")
    return first.startswith("{") and (not rest or not first.rstrip().endswith("}"))


def _one_object(text: str, path: Path) -> list[Record]:
    content = parse_json(text, path)
    if not content or content.keys() & _KNOWN:
        return [Record(f"{path}, line 1", content)]
    if content.keys() & _SECTIONS or any(_texts(value) is None for value in content.values()):
        raise DatasetError(
            f"{path}: is JSON of another kind; there are COCO's (images and annotations), Karpathy's (images with "
            "sentences), {image: captions} and an array of rows"
        )
    records, seen = [], set()
    # Of two equal keys a dict keeps the last one only.
    for number, (name, value) in enumerate(parse_json(text, path, pairs=True), 1):
        if name in seen:
            raise DatasetError(f"{path}: {name} is there twice; put its captions into one list")
        seen.add(name)
        # COCO's scorers take predictions as lists of one.
        caption = value if isinstance(value, str) else value[0] if len(value) == 1 else None
        fields = {"image": name, "captions": value} | ({} if caption is None else {"caption": caption})
        records.append(Record(f"{path}, entry {number}", fields))
    return records


def _object(value: object, where: str) -> Record:
    if not isinstance(value, dict):
        raise DatasetError(f"{where}: not a JSON object")
    return Record(where, value)


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) and all(isinstance(text, str) for text in value) else None


def _table(path: Path, text: str, header: Header) -> list[Record]:
    if _IMAGES.isdisjoint(header.columns):
        raise DatasetError(
            f"{path}, line {header.line}: the header names no image column ({', '.join(IMAGE_KEYS)}); "
            "columns are separated by commas, semicolons, tabs or bars"
        )
    twice = next((name for name in header.columns if name in _KNOWN and header.columns.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"{path}, line {header.line}: two columns are called {twice}")
    _check_texts(header.columns, f"{path}, line {header.line}")
    records = []
    for line, fields in read_rows(text, header, path):
        where = f"{path}, line {line}"
        _check_texts((value for name, value in fields.items() if name not in _PATHS), where)
        records.append(Record(where, fields))
    return records


def _rows_of_text(path: Path, text: str) -> list[Record]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                row = read_text_row(line.rstrip("\r"))
            except ValueError as error:
                raise DatasetError(f"{where}: {error}") from None
            _check_texts((*row.captions, *row.keywords), where)
            fields: dict[str, object] = {"path": str(Path(row.path)), "caption": row.captions[0]}
            fields |= {"captions": list(row.captions), **({"uncertain": True} if row.uncertain else {})}
            fields |= {"keywords": list(row.keywords)} if row.keywords else {}
            records.append(Record(where, fields))
    return records


def _check_texts(texts: Iterable[str], where: str) -> None:
    """Raises DatasetError where bytes stand that are no text, as in a table of another encoding."""
    if any(map(_SURROGATE.search, texts)):
        raise DatasetError(f"{where}: not UTF-8 text")


def _is_name(value: object) -> bool:
    # To Python True is a whole number, but it is no id.
    number = (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )
    return number or (isinstance(value, str) and bool(value.strip()))
