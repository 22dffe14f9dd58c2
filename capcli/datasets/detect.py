"""Finds the reader that fits a folder or file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from capcli.datasets import coco, flickr8k, karpathy, table
from capcli.datasets.dataset import Dataset
from capcli.errors import DatasetError


class Reader(Protocol):
    """What a module of this room offers to be found."""

    EXPECTS: str

    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like this reader's format."""

    def read(self, path: Path, *, missing_ok: bool = False) -> Dataset:
        """The dataset at `path`; raises DatasetError."""


# From the most particular to the most general: a Flickr8k folder may well hold other people's tables.
READERS: tuple[Reader, ...] = (flickr8k, karpathy, coco, table)


def read_dataset(path: str | Path, *, missing_ok: bool = False) -> Dataset:
    """Reads the dataset in a folder or file, whichever of the known formats it has.

    Args:
        path: the folder or file.
        missing_ok: let pictures be missing on disk; their items name where they would be.

    Raises:
        DatasetError: nothing is there, no reader knows it, or the one that does finds it broken.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    for reader in READERS:
        if reader.recognises(path):
            return reader.read(path, missing_ok=missing_ok)
    raise DatasetError(f"{path}: not a dataset; tried {', '.join(reader.EXPECTS for reader in READERS)}")
