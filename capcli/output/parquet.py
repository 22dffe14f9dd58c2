"""Results in a folder of Parquet files, which data frames and databases read as one table.

`captions.parquet/` holds `part-00000.parquet` and so on, of as many rows each; `_manifest.json`, which says what made
them; and `_SUCCESS` once they are all. The rows of the part that is not full yet lie in `_open.jsonl`, where each is
safe as soon as it is there: a file of Parquet cannot grow. Readers leave out what begins with `_` or a full stop.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import drop_part, write_atomic
from capcli.files.json import dumps
from capcli.files.parquet import MANIFEST, SUCCESS, list_parts, read_table, require_pyarrow, write_table
from capcli.output import Result, State
from capcli.output.columns import state_of, table_path, to_table
from capcli.output.formats.json import JsonLines
from capcli.output.growing import GrowingFile
from capcli.output.kept import ByFolder, Faithful
from capcli.output.resume_record import ResumeRecord

_OPEN = "_open.jsonl"


class ParquetFolder(ByFolder, Faithful):
    """Keeps results in a folder of Parquet files; a `Kept` as `capcli.output.outputs` takes it.

    Whatever ends a run, each row is there once, in a part or in the open file. While it is open no other run can open
    it so.

    Args:
        path: the folder, made if it is not there.
        part_rows: rows of a part.
        resume: go on with the rows of an existing folder.
        overwrite: put new rows in place of those of an existing folder; they stay until the first one comes.

    Raises:
        UsageError: if pyarrow is not installed; if there is such a folder and neither is asked for, or it holds
            something else; if another run writes it, or it cannot be made.
    """

    def __init__(self, path: Path, part_rows: int, *, resume: bool = False, overwrite: bool = False) -> None:
        require_pyarrow()
        self._path, self._part_rows = path, part_rows
        self._stale, self._marked = overwrite, True
        self._rows: list[dict[str, Any]] = []  # of the part that is not full yet
        self._states: dict[str, State] = {}
        self._part_of: dict[str, Path] = {}
        self._written: Counter[State] = Counter()
        _prepare(path)
        self._open = GrowingFile(path / _OPEN, JsonLines())
        try:
            if not overwrite:
                if not resume and (list_parts(path) or self._open.size):
                    raise UsageError(f"{path} exists; --resume goes on with it, --overwrite begins anew")
                self._rows, self._states, self._part_of = _read_folder(path, self._open)
        except BaseException:
            self._open.close(finished=False)
            raise

    @property
    def count(self) -> int:
        """How many pictures it held rows of when it was opened, but for those dropped since."""
        return len(self._states)

    def record(self, options: Mapping[str, object], *, resumes: bool, anyway: bool) -> ResumeRecord:
        """The record of what made its rows, in its manifest."""
        place = ManifestPlace(self._path)
        return ResumeRecord(self._path, place, options, holds=self.count > 0, resumes=resumes, anyway=anyway)

    def is_file(self, path: Path) -> bool:
        """Whether `path` lies in the folder itself."""
        with suppress(OSError, ValueError):
            return path.parent.samefile(self._path)
        return False

    def states(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What it held of pictures of a folder when it was opened."""
        return [self._states.get(_key(table_path(folder / name))) for name in names]

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop the rows of pictures that are about to be captioned again; raises CapcliError."""
        gone = {_key(table_path(path)) for path in paths} & self._states.keys()
        if not gone:
            return
        self._begin()
        for part in sorted({self._part_of[key] for key in gone if key in self._part_of}):
            table = read_table(part)
            kept = table.filter([_key(path) not in gone for path in table["path"].to_pylist()])
            _put(part, kept) if kept.num_rows else part.unlink()
        self._rows = [row for row in self._rows if _key_of(row) not in gone]
        self._open.rewrite(lambda row: _key_of(json.loads(row)) not in gone)
        for key in gone:
            self._states.pop(key)
            self._part_of.pop(key, None)

    def write(self, result: Result) -> bool:
        """Keep a result; raises CapcliError where the disk does not take it."""
        self._begin()
        # What ended an earlier run may have left no time to close a part.
        while len(self._rows) >= self._part_rows:
            self._close_part()
        row = result.row() if result.version is None else {**result.row(), "version": result.version}
        self._open.append(dumps(row) + b"\n")
        self._rows.append(row)
        self._written[result.state] += 1
        if len(self._rows) >= self._part_rows:
            self._close_part()
        return True

    def complete(self) -> None:
        """Puts the last rows into a part, and says that there are no more; raises CapcliError."""
        while self._rows:
            self._close_part()
        place, counts = ManifestPlace(self._path), self._written + Counter(self._states.values())
        try:
            place.add({"pictures": sum(counts.values()), "failed": counts[State.FAILED]})
            write_atomic(self._path / SUCCESS, b"")
        except OSError as error:
            raise CapcliError(f"{self._path}: {system_reason(error)}; --resume ends it") from None

    def __enter__(self) -> ParquetFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close(finished=False)
        if kind is not None:
            with suppress(OSError):  # which is not empty once a row came
                self._path.rmdir()

    def _begin(self) -> None:
        """Takes away the mark of a whole folder and, once, what new rows are to take the place of."""
        try:
            if self._marked:
                (self._path / SUCCESS).unlink(missing_ok=True)
                self._marked = False
            if self._stale:
                for part in list_parts(self._path):
                    part.unlink()
                self._open.rewrite(lambda row: False)
                self._stale = False
        except OSError as error:
            raise CapcliError(f"{self._path}: {system_reason(error)}") from None

    def _close_part(self) -> None:
        last = max((int(part.stem.rpartition("-")[2]) for part in list_parts(self._path)), default=-1)
        part = self._path / f"part-{last + 1:05}.parquet"
        rows, self._rows = self._rows[: self._part_rows], self._rows[self._part_rows :]
        _put(part, to_table(rows))
        for row in rows:
            if (key := _key_of(row)) in self._states:
                self._part_of[key] = part
        left = {_key_of(row) for row in self._rows}
        self._open.rewrite(lambda row: bool(left) and _key_of(json.loads(row)) in left)


class ManifestPlace:
    """A folder's manifest as the place of a record; a `Place` as `capcli.output.origin` takes it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MANIFEST

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        """What is there, None where there is nothing; raises OSError."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        """Puts a record there; raises OSError."""
        write_atomic(self._path, content)

    def remove(self) -> None:
        """Takes away what is there; raises OSError."""
        self._path.unlink()

    def add(self, values: Mapping[str, object]) -> None:
        """Says more of the folder beside what made it; raises OSError."""
        record = json.loads(self.read() or b'{"origins": []}')
        self.write(dumps({**record, **values}, indent=2) + b"\n")


def _prepare(path: Path) -> None:
    """Makes the folder; raises UsageError where there can be none, or it holds what is not capcli's."""
    try:
        path.mkdir(exist_ok=True)
        names = {entry.name for entry in path.iterdir()}
    except FileExistsError:
        raise UsageError(f"{path} is a file, and captions as Parquet are a folder; name another") from None
    except OSError as error:
        raise UsageError(f"{path}: {system_reason(error)}") from None
    if names and not names & {MANIFEST, _OPEN}:
        raise UsageError(f"{path} holds other files, such as {min(names)}; name a new folder")
    with suppress(OSError, ValueError):
        if "sources" in json.loads((path / MANIFEST).read_bytes()):
            raise UsageError(f"{path} was made with --on ray; add that, or name a new folder")


def _read_folder(path: Path, opened: GrowingFile) -> tuple[list[dict[str, Any]], dict[str, State], dict[str, Path]]:
    """Reads what a folder holds, and takes rows out of the open file that are in a part already.

    Returns:
        the rows of the open file; what is held of each picture; in which part it lies.
    """
    states: dict[str, State] = {}
    part_of: dict[str, Path] = {}
    for part in list_parts(path):
        try:
            table = read_table(part, ("path", "error", "uncertain"))
        except (ValueError, OSError) as error:
            raise UsageError(f"{part} is no part of captions ({error}); name another folder") from None
        for name, wrong, uncertain in zip(*(column.to_pylist() for column in table.columns), strict=True):
            states[_key(name)], part_of[_key(name)] = state_of(wrong, uncertain), part
        with suppress(OSError):
            drop_part(part)
    whole = [json.loads(row) for row in opened.read()]
    # A part was closed, and what ended the run left no time to empty the open file.
    rows = [row for row in whole if _key_of(row) not in part_of]
    if len(rows) < len(whole):
        opened.rewrite(lambda row: _key_of(json.loads(row)) not in part_of)
    for row in rows:
        states[_key_of(row)] = state_of(row.get("error"), row.get("uncertain"))
    return rows, states, part_of


def _put(part: Path, table: Any) -> None:
    try:
        write_table(part, table)
    except OSError as error:
        problem = f"{part}: {system_reason(error)}; no row is lost, and --resume goes on from them"
        raise CapcliError(problem) from None


def _key(path: str) -> str:
    """The same for every spelling of a path that does not go through links."""
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def _key_of(row: Mapping[str, Any]) -> str:
    return _key(table_path(Path(row["path"])))
