"""Results as a table of pyarrow's: the columns of a row, and rows as every other format has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from capcli.output import State


def schema() -> Any:
    """The columns and their types; what a result does not have is null."""
    import pyarrow as pa

    word = pa.struct({"word": pa.string(), "log_probability": pa.float64(), "sentinel": pa.float64()})
    keyword = pa.struct({"word": pa.string(), "probability": pa.float64(), "path": pa.list_(pa.string())})
    return pa.schema(
        {
            "path": pa.string(),
            "caption": pa.string(),
            "captions": pa.list_(pa.string()),
            "confidence": pa.float64(),
            "confidences": pa.list_(pa.float64()),
            "model": pa.string(),
            "uncertain": pa.bool_(),
            "words": pa.list_(word),
            "keywords": pa.list_(keyword),
            "status": pa.string(),
            "version": pa.int64(),
            "copied_from": pa.string(),
            "error": pa.string(),
        }
    )


def to_table(rows: Iterable[Mapping[str, object]]) -> Any:
    """The table of rows as `Result.row` gives them, those of a library with their `version`."""
    import pyarrow as pa

    filled = [{"uncertain": False} | {name: _text(value) for name, value in row.items()} for row in rows]
    return pa.Table.from_pylist(filled, schema())


def table_path(path: Path) -> str:
    r"""What the column `path` says of a file; bytes of a name that are no text stand there as in Python: `\udcff`."""
    return _escaped(str(path))


def state_of(error: str | None, uncertain: bool | None) -> State:
    """What a row holds of a picture."""
    return State.FAILED if error is not None else State.UNCERTAIN if uncertain else State.CAPTIONED


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, list):
        return [_text(item) for item in value]
    return {name: _text(item) for name, item in value.items()} if isinstance(value, dict) else value


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
