"""Every format of rows by its name on the command line: a new format is a new line here."""

from __future__ import annotations

from capcli.output.formats.contract import Format
from capcli.output.formats.csv import Csv
from capcli.output.formats.json import Coco, JsonArray, JsonLines
from capcli.output.formats.text import Text

FORMATS: dict[str, type[Format]] = {
    "text": Text,
    "tsv": Text,
    "csv": Csv,
    "json": JsonArray,
    "jsonl": JsonLines,
    "coco": Coco,
}

ENDINGS = {".txt": "text", ".tsv": "tsv", ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""The format of a file whose name ends so, where the user names none."""
