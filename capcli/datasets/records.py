"""Rows of files that people keep captions in: JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.datasets.dataset import parse_json, read_lines, read_text
from capcli.errors import DatasetError

IMAGE_KEYS = ("image_id", "image", "path", "file_name", "filename", "file")
"""Under these a row names its image, by its id or by its file."""

CAPTION_KEYS = ("caption", "text")

_LINES = (".jsonl", ".ndjson")
_SECTIONS = frozenset(("images", "annotations"))
_KNOWN = frozenset((*IMAGE_KEYS, *CAPTION_KEYS, "captions"))


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
    """The rows of a CSV (whose name ends so), of JSON lines, of a JSON array of objects, or of {image: captions}.

    Raises:
        DatasetError: it cannot be read, is broken (with the line), holds something else, or names an image twice where
            that would lose captions.
    """
    if path.suffix.lower() == ".csv":
        return _csv(path)
    if path.suffix.lower() in _LINES:
        return _lines(path)
    text = read_text(path)
    if text.lstrip().startswith("["):
        return _array(parse_json(text, path), path)
    return _one_object(text, path) if _is_one_object(text) else _lines(path)


def _lines(path: Path) -> list[Record]:
    records = []
    for number, line in read_lines(path):
        where = f"{path}, line {number}"
        records.append(_object(parse_json(line, path, first_line=number), where))
    return records


def _array(values: list[Any], path: Path) -> list[Record]:
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
        one = value if isinstance(value, str) else value[0] if len(value) == 1 else None
        fields = {"image": name, "captions": value} | ({} if one is None else {"caption": one})
        records.append(Record(f"{path}, entry {number}", fields))
    return records


def _object(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise DatasetError(f"{where}: not a JSON object")
    return Record(where, value)


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) and all(isinstance(text, str) for text in value) else None


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
