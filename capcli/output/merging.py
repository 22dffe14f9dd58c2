"""The outputs of all shards of a run, proved and put together in the order of a run that nobody divided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from capcli.arrays import Int64Array
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import replacing, write_whole
from capcli.output.formats.contract import Format
from capcli.output.formats.registry import FORMATS
from capcli.output.origin import Origin
from capcli.output.resume_record import ResumeRecord
from capcli.output.shard import Share

_SHOWN = 3
"""How many of what is missing a message names."""

_MOST_OPEN = 256
"""Files that are open at once; systems allow about a thousand."""

_AT_ONCE = 1 << 20
"""Bytes that are gathered before they are written."""


@dataclass(frozen=True)
class Shards:
    """Outputs of all shards of one run.

    Attributes:
        outputs: their paths, by the numbers of the shards.
        shares: what each of them holds.
        origins: what made them, the same for all; none where no shard has a row.
    """

    outputs: Sequence[Path]
    shares: Sequence[Share]
    origins: Sequence[Origin]

    @classmethod
    def read(
        cls, outputs: Sequence[Path], read_origins: Callable[[Path], list[Origin]] = ResumeRecord.read_beside
    ) -> Shards:
        """Reads what the records of outputs say, and proves that they are all shards of one run, each once.

        Args:
            outputs: in any order.
            read_origins: what made one of them.

        Raises:
            UsageError: where a shard is missing, there twice, unfinished, of other pictures, or made by other options,
                another model or other rules for pixels.
        """
        found = sorted(((Share.read(output), output) for output in outputs), key=lambda pair: pair[0].shard.number)
        shares, paths = zip(*found, strict=True)
        _check_numbers(shares, paths)
        for share, path in zip(shares, paths, strict=True):
            if (share.total, share.listed) != (shares[0].total, shares[0].listed):
                raise UsageError(
                    f"{path} is of another list of pictures than {paths[0]} ({share.total:,} and {shares[0].total:,} "
                    "pictures); give every shard the same folders and lists, and caption the old ones anew"
                )
            if not share.finished:
                raise UsageError(f"{path}: its run has not come to its end; go on with it by --resume")
        places = np.sort(np.concatenate([np.array(share.places, np.int64) for share in shares]))
        if not np.array_equal(places, np.arange(shares[0].total)):
            raise UsageError(f"{paths[0]} and the others do not hold every picture once; caption all shards anew")
        return cls(paths, shares, _one_origin(paths, read_origins))

    @property
    def total(self) -> int:
        """How many pictures there are."""
        return self.shares[0].total

    def places(self, number: int) -> Mapping[str, int]:
        """Where the pictures of an output stand in the list of all, by their paths."""
        share = self.shares[number]
        return dict(zip(map(str, share.pictures), share.places, strict=True))

    def prove(self, number: int, found: Sequence[int]) -> None:
        """Raises UsageError unless an output has one row for each of its pictures, or says that there is none.

        Args:
            number: of the output.
            found: places of the rows that it has.
        """
        share, path = self.shares[number], self.outputs[number]
        have, wanted = np.sort(np.array(found, np.int64)), set(share.places) - set(share.without)
        if len(have) > len(wanted) or (np.diff(have) == 0).any():
            raise UsageError(f"{path} has a picture twice, or one that failed before; caption that shard anew")
        if lacking := sorted(wanted - set(have.tolist())):
            name = dict(zip(share.places, share.pictures, strict=True))[lacking[0]]
            raise UsageError(
                f"{path} lacks rows of {len(lacking):,} of its pictures, such as {name}; go on with it by --resume"
            )

    def stamp(self, output: Path) -> None:
        """Writes beside the merged output what made it."""
        if self.origins:
            ResumeRecord.of_file(output, {}, holds=True, resumes=False).put(self.origins)


def merge_rows(shards: Shards, output: Path, form: str) -> None:
    """Puts the rows of shards into one file, whole or not at all.

    Args:
        shards: of one run.
        output: the file, which is replaced if it is there.
        form: the format of all of them.

    Raises:
        UsageError: where a shard is no file of that format, or does not hold what it should.
        CapcliError: where the disk does not take the file.
    """
    files = [_RowsOfShard(path, form) for path in shards.outputs]
    if len({file.format.begin for file in files}) > 1:
        raise UsageError(f"{shards.outputs[0]} and the others begin with different headers; caption them alike")
    where = np.full((shards.total, 3), -1, np.int64)  # which file, from which byte, to which
    for number, file in enumerate(files):
        places, found = shards.places(number), []
        for path, start, end in file:
            if (place := places.get(path)) is None:
                raise UsageError(f"{file.path} has a row of {path}, which is none of its pictures")
            where[place] = number, start, end
            found.append(place)
        shards.prove(number, found)
    try:
        with replacing(output) as whole:
            _copy_rows(files, where[where[:, 0] >= 0], whole)
        whole.close()
    except OSError as error:
        raise CapcliError(f"{output}: {system_reason(error)}") from None


class _RowsOfShard:
    """The file of a shard: paths of its rows, with the bytes at which each begins and ends."""

    def __init__(self, path: Path, form: str) -> None:
        self.path, self._form = path, form
        with _opened(path) as file:
            head = file.read(1 << 16)
        kinds = [FORMATS[form](with_keywords=words) for words in (False, True)]
        self.format: Format = next((kind for kind in kinds if head.startswith(kind.begin)), kinds[0])
        if not head.startswith(self.format.begin):
            raise UsageError(f"{path} does not hold rows of the format {form}; name theirs by --format")

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        end = len(self.format.begin)
        with _opened(self.path) as file:
            file.seek(end)
            for number, (row, end) in enumerate(self.format.rows(file), 1):
                try:
                    path, _ = self.format.decode(row)
                except ValueError as error:
                    fault = f"{self.path} does not hold rows of the format {self._form} (row {number}: {error})"
                    raise UsageError(fault + ("; name theirs by --format" if number == 1 else "")) from None
                yield str(path), end - len(row), end
            file.seek(end)
            if file.read(len(self.format.end) + 1).strip() != self.format.end.strip():
                raise UsageError(f"{self.path} ends in half a row; go on with it by --resume")


def _copy_rows(files: Sequence[_RowsOfShard], where: Int64Array, to: FileIO) -> None:
    """Writes rows one behind the other, as a file of their format has them.

    Args:
        files: of the shards.
        where: for each row the number of its file, and the bytes from which and to which it lies there; N x 3.
        to: an empty file.
    """
    form = files[0].format
    with ExitStack() as stack:
        opened: dict[int, BinaryIO] = {}
        waiting, size = [form.begin], 0
        for index, (number, start, end) in enumerate(where.tolist()):
            if number not in opened:
                if len(opened) == _MOST_OPEN:
                    opened.pop(next(iter(opened))).close()
                opened[number] = stack.enter_context(_opened(files[number].path))
            opened[number].seek(start)
            waiting += [form.between] * bool(index) + [opened[number].read(end - start)]
            size += end - start
            if size > _AT_ONCE:
                write_whole(to, b"".join(waiting))
                waiting, size = [], 0
        write_whole(to, b"".join([*waiting, form.end]))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {system_reason(error)}") from None


def _one_origin(paths: Sequence[Path], read: Callable[[Path], list[Origin]]) -> list[Origin]:
    """What made the outputs, leaving out which shards they are; raises UsageError where that differs."""
    held = [(path, origin) for path in paths for origin in read(path)]
    made = [(path, origin.without_options("shard")) for path, origin in held]
    if not made:
        return []
    first, origin = made[0]
    for path, other in made:
        if (difference := other.difference(origin, str(first))) is not None:
            raise UsageError(f"{path} was made {difference}; caption all shards alike")
    return [origin]


def _check_numbers(shares: Sequence[Share], paths: Sequence[Path]) -> None:
    of = shares[0].shard.of
    for share, path in zip(shares, paths, strict=True):
        if share.shard.of != of:
            raise UsageError(f"{path} is shard {share.shard}, and {paths[0]} is one of {of}; name those of one run")
    numbers = [share.shard.number for share in shares]
    for number, path, other in zip(numbers, paths, paths[1:], strict=False):
        if numbers.count(number) > 1:
            raise UsageError(f"{path} and {other} are both shard {number}/{of}; leave one out")
    if missing := sorted(set(range(1, of + 1)) - set(numbers)):
        shown = ", ".join(f"{number}/{of}" for number in missing[:_SHOWN])
        others = f" and {len(missing) - _SHOWN:,} others" if len(missing) > _SHOWN else ""
        raise UsageError(f"there is no shard {shown}{others} among the {len(numbers):,} that you name")
