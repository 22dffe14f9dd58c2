"""Plain text: sentences without pictures, one a line."""

from __future__ import annotations

from pathlib import Path

from capcli.datasets import flickr
from capcli.datasets.dataset import Dataset, Item, read_lines
from capcli.errors import DatasetError


def recognises(path: Path) -> bool:
    """Whether `path` is a text file, and not one of Flickr8k's."""
    return path.suffix.lower() == ".txt" and path.is_file() and not flickr.recognises(path)


def read_sentences(path: Path) -> Dataset:
    """The lines of a text file that are not blank, each an item of one caption; raises DatasetError if it has none."""
    lines = read_lines(path)
    if not lines:
        raise DatasetError(f"{path}: has no sentences; it is to hold one a line")
    return Dataset(path.stem, tuple(Item(path, (line,), "train") for _, line in lines), pictures=False)
