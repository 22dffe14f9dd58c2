"""Plain tables: CSV, TSV, JSON lines or JSON of pictures and captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from capcli.datasets.dataset import SPLITS, Entry, image_folders, locate, number_of, only
from capcli.datasets.records import read_records
from capcli.errors import DatasetError

EXPECTS = (
    "a table (.csv, .tsv, .jsonl or .ndjson with image and caption or captions), "
    "or such rows or {image: [captions]} in a .json file"
)

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_SPLITS = {
    **{split: split for split in SPLITS},
    "val": "dev",
    "validation": "dev",
    "restval": "train",
}


def recognises(path: Path) -> bool:
    """Whether `path` is a file whose name ends like a table's, or a folder that holds some (but JSON)."""
    return path.suffix.lower() in (*_SUFFIXES, ".json") if path.is_file() else bool(_tables(path))


def entries(path: Path) -> Iterator[Entry]:
    """Reads a table, or the `captions.csv`, `captions.jsonl` or only table of a folder.

    Every row is a record, see `capcli.datasets.records.Record`, with its `caption` or `captions` and optionally a
    `split`: "train" where other rows have one. A picture may have several rows. Pictures are named relative to the
    table's folder or to `images/` in it, or absolutely.

    Raises:
        DatasetError: several tables to choose from, a broken row, or an unknown split.
    """
    file = path if path.is_file() else only(_tables(path), path)
    folders = image_folders(file.parent)
    records = read_records(file)
    splits = [str(record.fields.get("split") or "").strip().lower() for record in records]
    default = "train" if any(splits) else None
    for record, split in zip(records, splits, strict=True):
        if split and split not in _SPLITS:
            raise DatasetError(f"{record.where}: unknown split {split!r} (known: {', '.join(_SPLITS)})")
        names = record.names()
        number = next(filter(None, map(number_of, names)), None)
        name = next((name for name in names if number_of(name) is None), names[0])
        image = locate(name, folders)
        yield Entry.of(record.where, name, image, record.captions(), _SPLITS.get(split, default), number)


def _tables(folder: Path) -> list[Path]:
    tables = sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    return [table for table in tables if table.stem.lower() == "captions"] or tables
