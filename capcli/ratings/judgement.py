"""One answer of one rater, as a line of the file of ratings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capcli.errors import DatasetError
from capcli.files.json import dumps

ADEQUACY, FLUENCY, PREFERENCE = "adequacy", "fluency", "preference"

SCALES = (ADEQUACY, FLUENCY, PREFERENCE)

LEVELS = (1, 2, 3, 4, 5)
"""Of adequacy and fluency, the best last."""

EVEN = 0
"""The value of a preference for neither."""

BEGINNING = b'{"rater": '
"""Of every line that capcli writes; by it a line that was broken off is known."""

Key = tuple[str, str, str, frozenset[str]]


@dataclass(frozen=True)
class Judgement:
    """What one rater said of one picture's caption, or of two that were shown together.

    Attributes:
        rater: who.
        image: the picture, as the rows of captions name it.
        scale: one of SCALES.
        captions: the text that was judged; of a preference both, or the one that several systems share.
        systems: for each of the captions who said it.
        value: one of LEVELS; of a preference the place of the better caption, from 1, or EVEN; None takes back what the
            rater said before.
        at: when, by UTC, as ISO 8601 has it.
    """

    rater: str
    image: str
    scale: str
    captions: tuple[str, ...]
    systems: tuple[tuple[str, ...], ...]
    value: int | None
    at: str

    @property
    def key(self) -> Key:
        """What it is about, so that a later judgement replaces an earlier one of the same key."""
        return self.rater, self.image, self.scale, frozenset(self.captions)

    @property
    def preferred(self) -> str | None:
        """The better caption of a preference; None where there is none."""
        return self.captions[self.value - 1] if self.value else None

    def to_line(self) -> bytes:
        """Its line, with the line break."""
        return dumps(vars(self)) + b"\n"

    @classmethod
    def of(cls, line: bytes, where: str) -> Judgement:
        """The judgement in a line; raises DatasetError with `where`, which is file and line."""
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DatasetError(f"{where}: broken JSON; a line of ratings is one JSON object") from None
        if not isinstance(row, dict) or not {"rater", "scale", "value"} <= row.keys():
            raise DatasetError(f"{where}: is no rating of capcli, which has a rater, a scale and a value")
        for name in ("rater", "image", "at"):
            if not isinstance(row.get(name), str):
                raise DatasetError(f"{where}: its {name} is no text")
        if row["scale"] not in SCALES:
            raise DatasetError(f"{where}: its scale is {row['scale']!r}, not one of {', '.join(SCALES)}")
        captions, systems = _captions(row, where)
        value = row["value"]
        known = LEVELS if row["scale"] != PREFERENCE else range(len(captions) + 1 if len(captions) > 1 else 1)
        if value is not None and (type(value) is not int or value not in known):
            raise DatasetError(f"{where}: its value is {value!r}, not a whole number from {known[0]} to {known[-1]}")
        return cls(row["rater"], row["image"], row["scale"], captions, systems, value, row["at"])


def _captions(row: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    captions: list[Any]
    systems: list[Any]
    captions, systems = (row[name] if isinstance(row.get(name), list) else [] for name in ("captions", "systems"))
    most = 2 if row["scale"] == PREFERENCE else 1
    if not _are_texts(captions) or not 0 < len(set(captions)) == len(captions) <= most:
        raise DatasetError(f"{where}: its captions are not {'one or two different texts' if most > 1 else 'one text'}")
    if len(systems) != len(captions) or not all(names and _are_texts(names) for names in systems):
        raise DatasetError(f"{where}: its systems are not a list of names for each caption")
    return tuple(captions), tuple(map(tuple, systems))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
