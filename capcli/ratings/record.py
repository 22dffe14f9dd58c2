"""The file of ratings: JSON lines, to which each answer is added and from which nothing is ever taken.

Several programs may add to it at once: each locks it for the moment of its writing. What a crash left of a line was
never confirmed to anybody, and the next writer drops it.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from capcli.errors import CapcliError, DatasetError, UsageError, system_reason
from capcli.files.atomic import write_whole
from capcli.files.lock import open_locked
from capcli.files.target import check_target
from capcli.ratings.judgement import BEGINNING, Judgement, Key

PATIENCE = 10.0
"""Seconds to wait for another program that writes."""


def read_ratings(path: Path) -> tuple[dict[Key, Judgement], list[str]]:
    """What holds of a file of ratings, and what a reader must know, a line each.

    Returns:
        The last judgement of each key, without those that were taken back; and the notes.

    Raises:
        DatasetError: it cannot be read, a line is no rating (with its number), or it holds none.
    """
    record = Record(path)
    held = settle({}, record.read_new())
    held = {key: judgement for key, judgement in held.items() if judgement.value is not None}
    if not held:
        raise DatasetError(f"{path}: holds no ratings yet; capcli review --rate takes some")
    notes = [f"{path}: its last line was broken off, as by a crash, and is left out"] if record.torn else []
    return held, notes + note_alike(path, {key[0] for key in held})


def settle(held: dict[Key, Judgement], judgements: Iterable[Judgement]) -> dict[Key, Judgement]:
    """Puts later judgements in the place of earlier ones, which had perhaps other systems of the same captions."""
    for judgement in judgements:
        before = held.get(judgement.key)
        if before is not None and judgement.value is not None and before.systems != judgement.systems:
            systems_of = dict(zip(before.captions, before.systems, strict=True))
            systems = tuple(
                tuple(dict.fromkeys((*names, *systems_of[caption])))
                for caption, names in zip(judgement.captions, judgement.systems, strict=True)
            )
            judgement = replace(judgement, systems=systems)
        held[judgement.key] = judgement
    return held


def note_alike(path: Path, raters: Iterable[str]) -> list[str]:
    """A line for raters whose names hardly differ."""
    seen: dict[str, str] = {}
    notes = []
    for rater in sorted(raters):
        other = seen.setdefault(" ".join(rater.casefold().split()), rater)
        if other != rater:
            notes.append(f"{path}: the raters {other} and {rater} count as two people")
    return notes


class Record:
    """A file of ratings to read from and to add to.

    Attributes:
        torn: whether its last line was broken off when it was read last.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = self._lines = 0
        self.torn = False

    def prepare(self) -> None:
        """Makes the file if it is not there; raises UsageError where it may not be written, CapcliError if locked."""
        check_target("-o", self._path)
        try:
            self._open().close()
        except OSError as error:
            raise UsageError(f"{self._path}: {system_reason(error)}; name another file with -o") from None

    def read_new(self) -> list[Judgement]:
        """The judgements that were added since the last call, by whatever program.

        Raises:
            DatasetError: it cannot be read, or a line is no rating.
            CapcliError: another program took away what was read already.
        """
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._end:
                    raise CapcliError(f"{self._path}: another program made it shorter; start capcli review again")
                file.seek(self._end)
                content = file.read()
        except OSError as error:
            raise DatasetError(f"{self._path}: {system_reason(error)}") from None
        judgements = []
        *whole, rest = content.split(b"\n")
        self.torn = False
        if rest and not _is_torn(rest):
            whole.append(rest)  # an editor left out the last line break
        elif rest:
            self.torn = True
        for number, line in enumerate(whole, self._lines + 1):
            if line.strip():
                judgements.append(Judgement.of(line, f"{self._path}, line {number}"))
        self._end += len(content) - len(rest)
        self._lines += content.count(b"\n")
        return judgements

    def add(self, judgements: Iterable[Judgement]) -> None:
        """Adds judgements in one piece; they are on the disk when this returns.

        Raises:
            CapcliError: the disk does not take them, or another program does not let go of the file.
        """
        try:
            with self._open() as file:
                end = _whole_end(file)
                try:
                    file.seek(end)
                    content = b"".join(judgement.to_line() for judgement in judgements)
                    if end and _byte_before(file, end) != b"\n":
                        content = b"\n" + content
                    file.truncate(end)
                    write_whole(file, content)
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise CapcliError(f"{self._path}: {system_reason(error)}; the answer is not stored") from None

    def _open(self) -> io.FileIO:
        until = time.monotonic() + PATIENCE
        while (file := open_locked(self._path)) is None:
            if time.monotonic() > until:
                raise CapcliError(f"{self._path} is being written by another program; the answer is not stored")
            time.sleep(0.005)
        return file


def _is_torn(rest: bytes) -> bool:
    """Whether it is the beginning of a line that capcli did not come to the end of."""
    if not (rest.startswith(BEGINNING) or BEGINNING.startswith(rest)):
        return False
    try:
        json.loads(rest)
    except ValueError:
        return True
    return False


def _whole_end(file: io.FileIO) -> int:
    """Where the last whole line ends."""
    size = file.seek(0, os.SEEK_END)
    start = size
    tail = b""
    while start and b"\n" not in tail:
        start = max(0, start - 65536)
        file.seek(start)
        tail = _read(file, size - start)
    rest = tail.rpartition(b"\n")[2]
    return size - len(rest) if rest and _is_torn(rest) else size


def _byte_before(file: io.FileIO, end: int) -> bytes:
    file.seek(end - 1)
    byte = file.read(1) or b""
    file.seek(end)
    return byte


def _read(file: io.FileIO, count: int) -> bytes:
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
