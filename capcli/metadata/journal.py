"""What originals were before capcli wrote into them: a file beside the rows, from which they can be put back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from capcli.errors import UsageError, system_reason
from capcli.files.atomic import drop_part, replacing, write_atomic, write_whole
from capcli.files.delta import apply_delta, make_delta
from capcli.files.json import dumps
from capcli.files.lock import open_locked
from capcli.metadata.ownership import keep_ownership
from capcli.output.naming import absolute


class Journal:
    """Grows by a line for every original, on the disk before the original changes; a context manager.

    A line holds the hashes of the file before and after and the difference between both, which is some kilobytes where
    metadata alone were written. One process at a time has the journal open. A line that a crash broke off is dropped:
    its picture was not changed.

    Args:
        rows: the file whose captions are written; the journal lies beside it.

    Raises:
        UsageError: another run has it open, it cannot be opened, or it holds something else.
    """

    def __init__(self, rows: Path) -> None:
        self.path = path_of_journal(rows)
        try:
            file = open_locked(self.path)
        except OSError as error:
            raise UsageError(f"{self.path}, which --undo needs, cannot be written ({system_reason(error)})") from None
        if file is None:
            raise UsageError(f"another run is writing captions of {rows} into pictures; wait for it")
        self._file = file
        self._end = 0
        self._places: dict[Path, list[int]] = defaultdict(list)
        try:
            self._read()
        except BaseException:
            file.close()
            raise

    def record(self, picture: Path, before: bytes, after: bytes) -> None:
        """Remember an original that is about to be replaced; raises OSError where the disk does not take it."""
        delta = make_delta(before, after)
        if apply_delta(delta, after) != before:
            raise AssertionError("a difference that does not lead back")
        entry = {
            "path": str(picture),
            "before": _hash(before),
            "after": _hash(after),
            "delta": base64.b64encode(delta).decode(),
        }
        line = dumps(entry) + b"\n"
        self._file.seek(self._end)
        try:
            write_whole(self._file, line)
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._end)
            raise
        self._places[picture].append(self._end)
        self._end += len(line)

    def former_sizes(self, picture: Path) -> set[int]:
        """The sizes in bytes that a picture had before capcli wrote into it; none if it is not as capcli left it.

        Raises:
            OSError: the picture cannot be read.
        """
        entries = [self._entry(place) for place in self._places.get(picture, ())]
        try:
            return {len(content) for content in _former(picture.read_bytes(), entries)} if entries else set()
        except ValueError:  # an entry of the journal is broken
            return set()

    def __len__(self) -> int:
        return len(self._places)

    def undo(self) -> Iterator[tuple[Path, str | None]]:
        """Put the originals back one by one, each with the reason why it was left as it is, or None.

        A picture is put back only if it holds what capcli wrote, bit by bit. Once all that can be put back are, the
        journal has the others alone, or is gone.
        """
        left = []
        for picture, places in list(self._places.items()):
            reason = self._put_back(picture, [self._entry(place) for place in places])
            if reason is not None:
                left += places
            yield picture, reason
        self._keep(sorted(left))

    def close(self) -> None:
        """Close it; without entries it is gone."""
        if not self._end:
            with suppress(OSError):  # first, while no other run can have opened it; Windows keeps what is open
                self.path.unlink()
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read(self) -> None:
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    picture = Path(entry["path"])
                    complete = {"before", "after", "delta"} <= entry.keys()
                except (ValueError, TypeError, KeyError, AttributeError):
                    complete = False
                if not complete:
                    raise UsageError(f"{self.path}, line {number}: is none of capcli's journal")
                self._places[picture].append(self._end)
                self._end += len(line)
        self._file.truncate(self._end)

    def _entry(self, place: int) -> Any:
        self._file.seek(place)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            return json.loads(lines.readline())

    def _put_back(self, picture: Path, entries: list[Any]) -> str | None:
        try:
            content, state = picture.read_bytes(), picture.stat()
            found = _hash(content)
            if found == entries[0]["before"]:
                drop_part(picture)
                return None
            for former in _former(content, entries):
                content, found = former, _hash(former)
            if found != entries[0]["before"]:
                return "was changed since capcli wrote into it"
            with replacing(picture) as file:
                write_whole(file, content)
                keep_ownership(picture, state, file)
            file.close()
        except OSError as error:
            return system_reason(error)
        except ValueError:
            return "its entry in the journal is broken"
        return None

    def _keep(self, places: list[int]) -> None:
        lines = [dumps(self._entry(place)) + b"\n" for place in places]
        if lines:
            write_atomic(self.path, b"".join(lines))
        self._end = sum(map(len, lines))


def path_of_journal(rows: Path) -> Path:
    """Where the journal of rows lies, absolute."""
    return absolute(rows.with_name(f".{rows.name}.applied.jsonl"))


def _former(content: bytes, entries: list[Any]) -> Iterator[bytes]:
    """What a picture was before each time that capcli wrote into it, the latest first; ValueError for a broken entry.

    An entry whose run was killed before the picture changed fits nothing.
    """
    found = _hash(content)
    for entry in reversed(entries):
        if found == entry["after"]:
            content = apply_delta(base64.b64decode(entry["delta"]), content)
            found = _hash(content)
            if found != entry["before"]:
                raise ValueError("a difference that does not lead back")
            yield content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
