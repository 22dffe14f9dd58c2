"""Parquet by pyarrow: files whole or not there, and the rows of a file or of a folder of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from capcli.errors import UsageError
from capcli.files.atomic import replacing

MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"
"""Beside the parts in a folder of capcli's: what made them, and a mark that they are all."""


def require_pyarrow() -> None:
    """Raises UsageError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError('Parquet needs pyarrow: pip install "capcli[parquet]"') from None


def write_table(path: Path, table: Any) -> None:
    """Puts a pyarrow table in place of a file, and onto the disk; raises OSError."""
    from pyarrow import parquet

    with replacing(path) as file:
        parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    file.close()


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """The pyarrow table in a file.

    Args:
        path: the file.
        columns: those to read, by default all.

    Raises:
        ValueError: it is no Parquet file, or lacks a column.
        OSError: it cannot be read.
    """
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            lacking = set(columns or ()) - set(file.schema_arrow.names)
            if lacking:
                raise ValueError(f"it has no column {min(lacking)}")
            return file.read(columns=columns)
    except ArrowException as error:
        raise ValueError(" ".join(str(error).split())) from None


def list_parts(folder: Path) -> list[Path]:
    """The Parquet files in a folder, by their names; raises OSError."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".parquet" and path.name[0] not in "._")


def read_parquet(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The rows of a file, or of all files in a folder, each with the file that it is in, without fields that are null.

    Raises:
        UsageError: pyarrow is not installed.
        ValueError: it is no Parquet, or capcli has not finished writing it.
        OSError: it cannot be read.
    """
    require_pyarrow()
    parts = [path]
    if path.is_dir():
        if (path / MANIFEST).exists() and not (path / SUCCESS).exists():
            raise ValueError("its run has not come to its end; go on with it by --resume")
        parts = list_parts(path)
        if not parts and not (path / MANIFEST).exists():
            raise ValueError("it is a folder without Parquet")
    for part in parts:
        for row in read_table(part).to_pylist():
            yield part, _without_nulls(row)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_nulls(field) for name, field in value.items() if field is not None}
    return value
