"""Bursts of a run: of pictures taken in a moment that look alike one is captioned, and the others get its caption.

Vectors, by which `capcli duplicates` tells what is alike, come from the encoder, which takes most of the time of a
caption. So a run compares times and perceptual hashes, which the pixels alone give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from capcli.errors import UsageError
from capcli.library.changes import key_of, read_result
from capcli.library.database import encode_name
from capcli.library.keeping import LibraryFile
from capcli.library.options import WITHIN, BurstOptions
from capcli.output import Result

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.pictures.facts import Facts
    from capcli.pictures.stream import Reading

MOST_APART = 16
"""How many of the 64 bits of their hashes pictures of one burst differ in at most.

One of 4,000 pairs of unlike photographs differs in no more, three of four photographs do so from themselves taken again
with a camera that moved a twentieth of the picture: `python benchmarks/bursts.py coco_subset/images`.
"""


@dataclass
class _Burst:
    """Pictures of one moment.

    Attributes:
        first: the one that is captioned, as a library knows it.
        look: its hash.
        begin: seconds since some moment, when the earliest was taken.
        end: when the latest was.
    """

    first: str
    look: int
    begin: float
    end: float

    def has(self, look: int, taken: float) -> bool:
        near = self.begin - WITHIN <= taken <= self.end + WITHIN
        return near and (look ^ self.look).bit_count() <= MOST_APART


class Bursts:
    """Tells for each picture of a run whether it gets the caption of another one.

    A picture belongs to a burst if it was taken within `WITHIN` seconds of any picture in it and looks like the
    captioned one; so does a picture with the very pixels of one that has a caption. Without a time only pixels count.

    Args:
        library: takes the results of the run; its rows count, too, so that a run goes on with a burst that an earlier
            one began.

    Raises:
        UsageError: if ImageHash is not installed.
        CapcliError: if the library is locked or damaged.
    """

    def __init__(self, library: LibraryFile) -> None:
        try:
            import imagehash
        except ModuleNotFoundError as error:
            if error.name != "imagehash":
                raise
            raise UsageError('--one-per-burst needs ImageHash: pip install "capcli[bursts]"') from None
        self._hash = imagehash.phash
        self._library = library
        self._near: dict[int, list[_Burst]] = {}
        self._of: dict[str, _Burst] = {}
        self._known: dict[str, str] = {}
        self._pixels: dict[str, str] = {}
        self._copies: dict[str, str] = {}
        self._looks: dict[str, str] = {}
        if not library.overwrites:
            self._go_on()

    def is_asked(self, reading: Reading) -> bool:
        """Whether the model is to caption a picture that was read with its facts; the others are for `copy`."""
        assert reading.array is not None and reading.facts is not None, "a library wants the facts of every picture"
        key, facts = key_of(reading.path), reading.facts
        if self._known.get(key) == facts.pixels:  # it fills a batch as it did before, or was only touched
            return key not in self._copies
        look = self._look(reading.array)
        self._looks[key] = look
        self._copies.pop(key, None)
        first = self._find(key, facts, look)
        if first is None:
            self._begin(key, facts.pixels, look, facts.taken)
            return True
        self._copies[key] = first
        return False

    def copy(self, reading: Reading) -> Result:
        """What becomes of a picture that the model is not asked about: the result of the captioned one, which the
        library holds by now, with a note of that.
        """
        key = key_of(reading.path)
        row = next(self._library.read("path = CAST(? AS TEXT)", encode_name(self._copies[key])), None)
        if row is None:  # its file was moved a moment ago
            return Result(reading.path, error="its burst was moved meanwhile; --retry-failed captions it")
        found = read_result(row)
        return replace(
            found,
            path=reading.path,
            facts=reading.facts,
            look=self._looks.pop(key, None),
            model_sha256=row["model_sha256"],
            copied_from=found.path,
            status=None,
            version=None,
        )

    def mark(self, result: Result) -> Result:
        """The result of a captioned picture with its hash, by which a later run knows its burst."""
        return replace(result, look=self._looks.pop(key_of(result.path), None))

    def _look(self, array: UInt8Array) -> str:
        return str(self._hash(Image.fromarray(array)))

    def _find(self, key: str, facts: Facts, look: str) -> str | None:
        """The captioned picture of the burst that a picture belongs to."""
        same = self._pixels.get(facts.pixels)
        if same is not None and same != key:
            # Where the other file is gone, this one is what has become of it, and its row moves.
            return same if Path(same).exists() else None
        if facts.taken is None:
            return None
        taken, bits = _seconds(facts.taken), int(look, 16)
        place = floor(taken / WITHIN)
        for near in (place, place - 1, place + 1):
            for burst in self._near.get(near, ()):
                if burst.first != key and burst.has(bits, taken) and Path(burst.first).exists():
                    self._extend(burst, taken)
                    return burst.first
        return None

    def _begin(self, key: str, pixels: str, look: str | None, taken: str | None) -> None:
        self._pixels.setdefault(pixels, key)
        former = self._of.pop(key, None)
        for near in self._near.values() if former else ():
            near[:] = [burst for burst in near if burst is not former]  # its file is another picture now
        if taken is None or look is None:
            return
        seconds = _seconds(taken)
        burst = self._of[key] = _Burst(key, int(look, 16), seconds, seconds)
        self._extend(burst, seconds)

    def _extend(self, burst: _Burst, taken: float) -> None:
        burst.begin, burst.end = min(burst.begin, taken), max(burst.end, taken)
        near = self._near.setdefault(floor(taken / WITHIN), [])
        if burst not in near:
            near.append(burst)

    def _go_on(self) -> None:
        """Takes up the bursts of earlier runs; what a person rejected is copied no further."""
        rows = list(self._library.read("caption IS NOT NULL AND pixels IS NOT NULL"))
        for row in rows:
            self._known[row["path"]] = row["pixels"]
            if row["copied"] is None and row["status"] != "rejected":
                self._begin(row["path"], row["pixels"], row["look"], row["taken"])
        for row in rows:
            if row["copied"] is not None:
                self._copies[row["path"]] = row["copied_path"]
                burst = self._of.get(row["copied_path"])
                if burst is not None and row["taken"] is not None:
                    self._extend(burst, _seconds(row["taken"]))


def read_bursts(library: object, options: BurstOptions) -> Bursts | None:
    """The bursts of the library that a run writes, None where none are asked for; raises what `Bursts` does."""
    return Bursts(library) if options.one_per_burst and isinstance(library, LibraryFile) else None


def _seconds(taken: str) -> float:
    return (datetime.fromisoformat(taken) - datetime(1970, 1, 1)).total_seconds()
