"""Finds the reader that fits a folder or file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from capcli.datasets import coco, flickr, karpathy, pairs, table, text
from capcli.datasets.dataset import Dataset, Entry, Item, at_home, is_there, merge, require_pictures
from capcli.errors import DatasetError
from capcli.pictures.spelling import explain_absence


class Reader(Protocol):
    """What a module of this room offers to be found."""

    EXPECTS: str

    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like this reader's format."""

    def entries(self, path: Path) -> Iterator[Entry]:
        """What `path` holds, a picture possibly more than once; raises DatasetError."""


# From the most particular to the most general: a Flickr8k folder may well hold other people's tables.
READERS: tuple[Reader, ...] = (flickr, karpathy, coco, table, pairs)


def read_entries(path: str | Path) -> tuple[Entry, ...]:
    """Every picture that a folder or file describes in any of the known formats, once.

    Raises:
        DatasetError: nothing is there, no reader knows it, the one that does finds it broken, or it has no captions.
    """
    path = at_home(path)
    if not (is_there(path) or path.is_dir()):
        raise DatasetError(f"{path}: no such file or folder{explain_absence(path)}")
    for reader in READERS:
        if reader.recognises(path):
            return merge(reader.entries(path), path)
    raise DatasetError(f"{path}: not a dataset; tried {', '.join(reader.EXPECTS for reader in READERS)}")


def read_dataset(path: str | Path, *, missing_ok: bool = False) -> Dataset:
    """Reads the dataset in a folder or file, whichever of the known formats it has, or the sentences of a text file.

    Pictures without captions are left out, and all are "train" where the source has no splits.

    Args:
        path: the folder or file.
        missing_ok: let pictures be missing on disk; their items name where they would be.

    Raises:
        DatasetError: as `read_entries`, or if a picture is missing.
    """
    path = at_home(path)
    if text.recognises(path):
        return text.read_sentences(path)
    # A picture is one, whatever ids its source gives it.
    captioned = merge((replace(entry, id=None) for entry in read_entries(path) if entry.captions), path)
    if not missing_ok:
        require_pictures([entry.image for entry in captioned], path)
    folder = path if path.is_dir() else path.parent
    items = (Item(entry.image, entry.captions, entry.split or "train") for entry in captioned)
    return Dataset(folder.resolve().name, tuple(items))
