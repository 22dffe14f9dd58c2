"""Folders of Parquet that shards made, put into one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from capcli.arrays import Int64Array
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import write_atomic
from capcli.files.parquet import MANIFEST, SUCCESS, list_parts, read_table, require_pyarrow, write_table
from capcli.files.target import hidden_beside
from capcli.output.columns import table_path
from capcli.output.merging import Shards
from capcli.output.origin import Origin
from capcli.output.parquet import ManifestPlace
from capcli.output.resume_record import ResumeRecord


def read_folder_origins(folder: Path) -> list[Origin]:
    """What made the rows of a folder; raises UsageError where its manifest does not say it."""
    return _record(folder, folder).read()


def merge_folders(shards: Shards, output: Path, part_rows: int) -> None:
    """Puts the rows of all shards into a new folder, whole or not at all.

    Args:
        shards: of one run.
        output: the new folder.
        part_rows: rows of each of its parts.

    Raises:
        UsageError: where a shard is no such folder, or does not hold what it should; where pyarrow is not installed.
        CapcliError: where the disk does not take it.
    """
    require_pyarrow()
    parts: list[Path] = []
    where = np.full((shards.total, 2), -1, np.int64)  # which part, which of its rows
    for number, folder in enumerate(shards.outputs):
        places, found = {table_path(Path(path)): place for path, place in shards.places(number).items()}, []
        for index, row, path in _rows_of(folder, parts):
            if (place := places.get(path)) is None:
                raise UsageError(f"{folder} has a row of {path}, which is none of its pictures")
            where[place] = index, row
            found.append(place)
        shards.prove(number, found)
    part = hidden_beside(output, "merging")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        failed = 0
        # In the order of the pictures each part is used again and again, and one of each shard at a time.
        read = functools.lru_cache(maxsize=2 * len(shards.outputs))(lambda index: read_table(parts[index]))
        for number, start in enumerate(range(0, shards.total, part_rows)):
            table = _gather(where[start : start + part_rows], read)
            failed += table.num_rows - table["error"].null_count
            write_table(part / f"part-{number:05}.parquet", table)
        if shards.origins:
            _record(output, part).put(shards.origins)
        ManifestPlace(part).add({"pictures": shards.total, "failed": failed})
        write_atomic(part / SUCCESS, b"")
        part.rename(output)
    except OSError as error:
        raise CapcliError(f"{output}: {system_reason(error)}") from None
    finally:
        with suppress(OSError):
            shutil.rmtree(part)


def _rows_of(folder: Path, parts: list[Path]) -> Iterator[tuple[int, int, str]]:
    """The number of its part, its number there, and the path of each row; adds the parts to the list."""
    if not (folder / SUCCESS).exists():
        ours = (folder / MANIFEST).exists()
        raise UsageError(f"{folder} {'is not finished; go on with it by --resume' if ours else 'is no folder of rows'}")
    for part in list_parts(folder):
        parts.append(part)
        try:
            paths = read_table(part, ("path",))["path"].to_pylist()
        except (ValueError, OSError) as error:
            raise UsageError(f"{part}: {error}; caption that shard anew") from None
        yield from ((len(parts) - 1, row, path) for row, path in enumerate(paths))


def _gather(where: Int64Array, read: Callable[[int], Any]) -> Any:
    """The table of rows that lie at places of parts, in their order."""
    import pyarrow as pa

    tables, order = [], []
    for index in np.unique(where[:, 0]).tolist():
        (wanted,) = (where[:, 0] == index).nonzero()
        tables.append(read(index).take(where[wanted, 1]))
        order.append(wanted)
    return pa.concat_tables(tables).take(np.argsort(np.concatenate(order))).combine_chunks()


def _record(output: Path, folder: Path) -> ResumeRecord:
    return ResumeRecord(output, ManifestPlace(folder), {}, holds=True, resumes=False)
