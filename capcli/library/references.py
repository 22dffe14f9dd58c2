"""Captions of a library that people have checked, as data to learn from."""

from __future__ import annotations

from pathlib import Path

from capcli.datasets import Dataset, Item, read_dataset
from capcli.datasets.dataset import at_home, require_pictures
from capcli.errors import DatasetError
from capcli.files.database import is_database
from capcli.library.database import read_rows, reading
from capcli.library.statuses import CHECKED


def read_training_data(path: str | Path, *, missing_ok: bool = False) -> Dataset:
    """A data set in any of the known formats, or the accepted and edited captions of a library.

    What a model said and nobody has checked is no reference; nor is what somebody rejected or flagged. Pictures that
    the library marks as missing are left out, and all are "train".

    Args:
        path: the folder, file or library.
        missing_ok: let pictures be missing on disk.

    Raises:
        DatasetError: as `capcli.datasets.read_dataset`, or if nobody has accepted or edited a caption.
        UsageError: a database is no library of this version; CapcliError if it is locked or damaged.
    """
    place = at_home(path)
    if not is_database(place):
        return read_dataset(path, missing_ok=missing_ok)
    with reading(place) as connection:
        marks = ", ".join("?" * len(CHECKED))
        rows = read_rows(connection, f"status IN ({marks}) AND NOT missing", CHECKED)
        items = tuple(Item(Path(row["path"]), (row["caption"],), "train") for row in rows)
    if not items:
        raise DatasetError(
            f"{path}: nobody has accepted or edited a caption in it yet; `capcli review {path}` is for that"
        )
    if not missing_ok:
        require_pictures([item.image for item in items], place)
    return Dataset(place.stem, items)
