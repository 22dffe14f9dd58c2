"""What `--resume` compares: the record beside an output of what made it, with what is asked for now.

Rows of `out.csv` have theirs in `.out.csv.origin.json` beside them. Files of one kind in a folder have theirs in that
folder, such as `maps/.capcli-grid.origin.json`, whose name says whose it is where other programs look for XMP files. A
run that goes on with an output first compares: the same model, options and preparation of pictures must have made what
is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import disk_is_full, write_atomic
from capcli.files.json import dumps
from capcli.files.target import hidden_beside
from capcli.output.origin import Origin


class Place(Protocol):
    """Where a record lies; `str` says how messages call it."""

    def read(self) -> bytes | None:
        """What is there, None where there is nothing; raises OSError."""
        ...

    def write(self, content: bytes) -> None:
        """Puts a record there; raises OSError."""
        ...

    def remove(self) -> None:
        """Takes away what is there; raises OSError."""
        ...


class _FilePlace:
    """A record in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, content: bytes) -> None:
        write_atomic(self._path, content)

    def remove(self) -> None:
        self._path.unlink()


class ResumeRecord:
    """What says what made what an output holds.

    It lists every origin that results in the output are of: more than one, if somebody went on all the same.

    Args:
        output: the file or folder, as the user calls it.
        place: where the record lies.
        options: those beside decoding that change the results.
        holds: whether results that are there stay.
        resumes: whether this run goes on with them, so that a difference is one that counts.
        anyway: whether it goes on in spite of one.
    """

    def __init__(
        self,
        output: Path,
        place: Place,
        options: Mapping[str, object],
        *,
        holds: bool,
        resumes: bool,
        anyway: bool = False,
    ) -> None:
        self._output, self._place, self._options = output, place, options
        self._holds, self._resumes, self._anyway = holds, resumes, anyway
        self._new: list[Origin] = []  # what the record is to list, once a result comes that it does not account for

    @classmethod
    def of_file(cls, path: Path, options: Mapping[str, object], **how: bool) -> ResumeRecord:
        """The record of a file of results; takes the keywords of the class."""
        return cls(path, _FilePlace(hidden_beside(path, "origin.json")), options, **how)

    @classmethod
    def of_folder(
        cls,
        folder: Path,
        kind: str,
        options: Mapping[str, object],
        is_result: Callable[[Path], bool],
        *,
        overwrite: bool,
        resumes: bool,
        anyway: bool,
    ) -> ResumeRecord:
        """The record of a folder's files of a kind, which `is_result` knows; with `overwrite` those there go."""
        path = folder / f".capcli-{kind}.origin.json"
        # A new run without a record needs no look through what may be very many files.
        holds = not overwrite and (resumes or path.exists()) and any(map(is_result, _files_below(folder)))
        return cls(folder, _FilePlace(path), options, holds=holds, resumes=resumes, anyway=anyway)

    @classmethod
    def read_beside(cls, path: Path) -> list[Origin]:
        """What made a file of results, as its record says; raises UsageError where that cannot be read."""
        return cls.of_file(path, {}, holds=True, resumes=False).read()

    def read(self) -> list[Origin]:
        """What made the output, nothing where no record is; raises UsageError where that cannot be read."""
        try:
            return self._read()
        except ValueError:
            raise UsageError(f"{self._place} does not say what made {self._output}; caption it anew") from None

    def put(self, origins: Sequence[Origin]) -> None:
        """Says that these made the output; raises CapcliError."""
        self._new = list(origins)
        if (problem := self._write()) is not None:
            raise CapcliError(problem)

    def check(self, asked: Origin) -> str | None:
        """Compares what made the output with what is asked for.

        Returns:
            a remark for the user, if there is one to make.

        Raises:
            UsageError: if something else made what the output holds.
        """
        asked = asked.with_options(self._options)
        held: list[Origin] = []
        if self._holds:
            try:
                held = self._read()
            except ValueError:
                if self._resumes and not self._anyway:
                    problem = f"{self._place} does not say what made {self._output}"
                    raise UsageError(f"{problem}; --resume-anyway goes on all the same") from None
            differences = [difference for origin in held if (difference := origin.difference(asked))]
            if differences and self._resumes and not self._anyway:
                raise UsageError(
                    f"{self._output} was made {differences[0]}; --resume-anyway goes on all the same, --overwrite "
                    "begins anew"
                )
        if not any(origin.difference(asked) is None for origin in held):
            self._new = [*held, asked]
        if self._resumes and self._holds and not held:
            return f"nothing says what made {self._output}; make sure that model and options are the same"
        return None

    def begin(self) -> str | None:
        """Is called before each new result, and brings the record up to date before the first one.

        Whatever stops a run, no record stands beside a result that it is wrong about.

        Returns:
            a remark for the user if the record cannot be written.

        Raises:
            CapcliError: if the disk is full.
        """
        if self._new and self._holds:
            return self._write()
        if self._new:
            with suppress(OSError):
                self._place.remove()
        return None

    def complete(self) -> str | None:
        """Is called after each new result; the same for outputs whose earlier results are gone after the first one."""
        return self._write() if self._new else None

    def _read(self) -> list[Origin]:
        """The origins in the record, none where there is none; raises ValueError for something else."""
        try:
            read = self._place.read()
        except OSError as error:
            raise ValueError(str(error)) from None
        if read is None:
            return []
        content = json.loads(read)
        if not (isinstance(content, dict) and isinstance(content.get("origins"), list)):
            raise ValueError("it is no object with origins")
        return [Origin.from_json(entry) for entry in content["origins"]]

    def _write(self) -> str | None:
        content = dumps({"origins": [origin.to_json() for origin in self._new]}, indent=2) + b"\n"
        self._new = []
        try:
            self._place.write(content)
        except OSError as error:
            problem = f"{self._place}: {system_reason(error)}"
            if disk_is_full(error):
                raise CapcliError(problem) from None
            return f"{problem}; a later --resume cannot compare what made {self._output}"
        return None


def _files_below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if not name.startswith("."))
