"""A part of a run that several machines share: which pictures it has, and the record beside its output.

A shard is a number and how many there are, `3/64`. Which shard a picture belongs to follows from its name alone: the
path below the deepest folder that holds all that was named, with "/" between its parts and accents composed (NFC). So
it is the same wherever that folder is mounted, from whatever folder the command runs, and on every system.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import write_atomic
from capcli.files.json import dumps
from capcli.files.keys import Keys
from capcli.files.target import hidden_beside
from capcli.pictures.find import by_folder
from capcli.pictures.packed import Packed
from capcli.pictures.search import Beside

MOST_SHARDS = 1_000_000


@dataclass(frozen=True)
class Shard:
    """One of several parts.

    Attributes:
        number: from 1 to `of`.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads `3/64`; raises UsageError for anything else."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise UsageError(f"--shard is a part and how many there are, such as 3/64, not {text!r}")
        shard = cls(int(found[1]), int(found[2]))
        if not 1 <= shard.of <= MOST_SHARDS:
            raise UsageError(f"--shard {text}: there may be 1 to {MOST_SHARDS:,} shards")
        if not 1 <= shard.number <= shard.of:
            raise UsageError(f"--shard {text}: the first shard is 1/{shard.of}, the last one {shard.of}/{shard.of}")
        return shard

    def holds(self, name: bytes) -> bool:
        """Whether the picture of a name, as `shared_name` gives it, belongs to this shard."""
        digest = hashlib.blake2b(name, digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shared_name(path: Path, base: Path) -> bytes:
    """What every machine calls a picture: its path below the folder that holds all of them."""
    return shared_names(path.parent, [path.name], base)[0]


def shared_names(folder: Path, names: Sequence[str], base: Path) -> list[bytes]:
    """The same of pictures of a folder, by their names there."""
    below, compose = _below(os.fspath(folder), base), functools.partial(unicodedata.normalize, "NFC")
    return [compose(below + name).encode("utf-8", "surrogatepass") for name in names]


def _paths(folder: str, names: Sequence[str]) -> list[str]:
    """Paths in a folder, as a Path spells them."""
    begin = os.fspath(Path(folder, "-"))[:-1]
    return [begin + name if name else folder for name in names]


@functools.lru_cache(maxsize=1024)
def _below(folder: str, base: Path) -> str:
    """The way from one folder to another, with a slash at its end."""
    # The paths of a folder come one after another, and to make each absolute would take minutes for ten million.
    way = os.path.abspath(folder)  # noqa: PTH100 - Path.resolve would follow links
    with suppress(ValueError):  # on another drive
        way = os.path.relpath(way, base)
    return "" if way == os.curdir else f"{way.replace(os.sep, '/')}/"


@dataclass(frozen=True)
class Share:
    """The pictures of a shard, and their places in the list of all pictures.

    Attributes:
        shard: which it is.
        total: how many pictures all shards have together.
        listed: a hash of the names of all pictures in their order, hexadecimal.
        places: where the shard's pictures stand in that list, from 0 on, ascending.
        pictures: their paths as found.
        finished: whether a run has settled them all.
        without: those of the places that have no row: failures in a format that has none for them.
    """

    shard: Shard
    total: int
    listed: str
    places: array[int] = field(repr=False)
    pictures: Packed = field(repr=False)
    finished: bool = False
    without: tuple[int, ...] = ()

    @classmethod
    def of(cls, shard: Shard, pictures: Iterable[Path], base: Path) -> Share:
        """A shard's share of pictures that all lie below a folder."""
        digest, places, total = hashlib.blake2b(digest_size=16), array("q"), 0

        def choose() -> Iterator[Beside]:
            nonlocal total
            for folder, names in by_folder(pictures):
                shared = shared_names(folder, names, base)
                digest.update(b"\0".join(shared) + b"\0")
                mine = [place for place, name in enumerate(shared) if shard.holds(name)]
                places.extend(total + place for place in mine)
                total += len(names)
                yield folder, [names[place] for place in mine]

        packed = Packed(choose())
        return cls(shard, total, digest.hexdigest(), places, packed)

    def together(self, batch_size: int) -> Callable[[Path], int]:
        """How many pictures are computed with one of these, itself among them, in a run over all of them."""
        last = self.total - self.total % batch_size
        count = sum(1 for _ in takewhile(lambda place: place >= last, reversed(self.places)))
        tail = set(islice(self.pictures, len(self.pictures) - count, None))
        return lambda picture: self.total - last if picture in tail else batch_size

    def ended(self, rowless: AbstractSet[Path]) -> Share:
        """The same once a run has settled all of its pictures, some of which have no row."""
        each = zip(self.places, self.pictures, strict=True)
        return replace(self, finished=True, without=tuple(place for place, path in each if path in rowless))

    def write(self, output: Path, *, absolute: bool = False) -> None:
        """Puts it into the record beside an output; raises CapcliError.

        Args:
            output: of the run.
            absolute: whether the output calls pictures by their absolute paths.
        """
        spell = Keys().paths if absolute else _paths
        names = [path for folder, names in self.pictures.by_folder() for path in spell(os.fspath(folder), names)]
        record = {
            "shard": self.shard.number,
            "of": self.shard.of,
            "total": self.total,
            "listed": self.listed,
            "finished": self.finished,
            "without": list(self.without),
            "places": list(self.places),
            "pictures": names,
        }
        place = hidden_beside(output, "shard.json")
        try:
            write_atomic(place, dumps(record) + b"\n")
        except OSError as error:
            raise CapcliError(f"{place}: {system_reason(error)}; without it {output} cannot be merged") from None

    @classmethod
    def read(cls, output: Path) -> Share:
        """What the record beside an output says.

        Raises:
            UsageError: if there is none, or it cannot be read.
        """
        place = hidden_beside(output, "shard.json")
        try:
            record: Any = json.loads(place.read_bytes())
            paths = Packed.of(Path(name) for name in record["pictures"])
            places, without = array("q", map(int, record["places"])), tuple(map(int, record["without"]))
            shard = Shard(int(record["shard"]), int(record["of"]))
            if len(places) != len(paths):
                raise ValueError("it is damaged")
            return cls(
                shard, int(record["total"]), str(record["listed"]), places, paths, bool(record["finished"]), without
            )
        except (FileNotFoundError, NotADirectoryError):
            problem = "is no shard" if output.exists() else "does not exist"
            raise UsageError(f"{output} {problem}; `capcli caption --shard 1/4 -o FILE` makes one") from None
        except OSError as error:
            raise UsageError(f"{place}: {system_reason(error)}") from None
        except (KeyError, TypeError, ValueError, OverflowError):
            raise UsageError(f"{place} does not say what {output} holds; caption that shard anew") from None
