"""What is looked for in a library: one definition for the command line and the API."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from capcli.errors import UsageError
from capcli.options import check, option

FLOOR = 0.35
"""The least score of a picture that has to do with a query, by the matcher of `base`.

Four of five references of Flickr8k's dev pictures reach it with their own picture, and a third of the things that are
not there reach it with none: `python benchmarks/search_floor.py --data flickr8k --absent open_world`.
"""

NEARLY = 0.9
"""The least score of two pictures that are nearly equal, by the matcher of `base`.

Nineteen of twenty photographs reach it with a copy that a tenth is cut from; 99 of 100 stay below 0.81 with each of 199
others: `python benchmarks/duplicate_scores.py coco_subset/images`.
"""

BURST = 0.85
"""The least score of two pictures of one burst, taken shortly one after the other; by the same figures."""

WITHIN = 3.0
"""Seconds between two pictures of one burst."""

_MOMENT = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?", re.ASCII)
_FIRST_MOMENT = "0001-01-01T00:00:00"


@dataclass(frozen=True)
class SearchOptions:
    """What pictures a search finds.

    Raises:
        UsageError: for a moment or a number that is none, or outside its range; where `since` comes after `until`.
    """

    like: Path | None = option(None, "Find pictures that look like this one.", metavar="PICTURE")
    not_: str | None = option(None, "Leave out pictures that fit this better than the query.", metavar="QUERY")
    top: int = option(10, "The most pictures that are shown.", flag="-n", least=1)
    min_score: float | None = option(
        None,
        "Show no picture that fits the query less, -1 to 1, unless its caption has all words of the query.",
        least=-1,
        most=1,
        shown=f"{FLOOR}; with --like none",
    )
    since: str | None = option(None, "Only pictures taken then or later, such as 2019 or 2019-07-04.", metavar="DATE")
    until: str | None = option(None, "Only pictures taken then or earlier; 2019 is its last moment.", metavar="DATE")
    folder: Path | None = option(None, "Only pictures in this folder and those below it.", metavar="FOLDER")
    min_confidence: float | None = option(
        None, "Only pictures whose caption has this confidence.", least=0, most=1, metavar="X"
    )
    exact: bool = option(False, "Compare the query with every vector, even where there is an index.")

    def __post_init__(self) -> None:
        check(self)
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and not _is_moment(moment):
                raise UsageError(
                    f"--{name} {moment!r} is no date; name one such as 2019, 2019-07, 2019-07-04 or 2019-07-04T12:30"
                )
        since, until = self._first, self._end
        if since is not None and until is not None and since >= until:
            raise UsageError(f"--since {self.since} is later than --until {self.until}; no picture can be both")

    @property
    def _first(self) -> str | None:
        """What the time of a picture is not less than, None for any."""
        return None if self.since is None else self.since.replace(" ", "T")

    @property
    def _end(self) -> str | None:
        """What it is less than: what begins with the moment belongs to it."""
        return None if self.until is None else self.until.replace(" ", "T") + "~"

    @property
    def filters(self) -> tuple[str, list[object]]:
        """The conditions on rows of pictures in SQL, empty where there are none, and their values."""
        wanted: list[tuple[str, tuple[object, ...]]] = []
        if self._first is not None:
            wanted.append(("taken >= ?", (self._first,)))
        if self._end is not None:
            wanted.append(("taken < ?", (self._end,)))
        if self.folder is not None:
            folder = os.path.normcase(os.path.abspath(self.folder))  # noqa: PTH100 - as paths of rows are made
            inside = os.path.join(folder, "")  # noqa: PTH118 - ends with a separator
            wanted.append(("substr(path, 1, ?) = ?", (len(inside), inside)))
        if self.min_confidence is not None:
            wanted.append(("confidence >= ?", (self.min_confidence,)))
        return " AND ".join(sql for sql, _ in wanted), [value for _, values in wanted for value in values]


def _is_moment(text: str) -> bool:
    if not _MOMENT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text + _FIRST_MOMENT[len(text) :])
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class DuplicateOptions:
    """What pictures count as one; raises UsageError for a number outside its range."""

    min_score: float = option(NEARLY, "How alike nearly equal pictures are.", least=0, most=1)
    within: float = option(WITHIN, "Pictures taken so many seconds one after another may be a burst.", least=0)
    burst_score: float = option(BURST, "How alike pictures of a burst are.", least=0, most=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class BurstOptions:
    """Whether each picture of a burst gets a caption of its own."""

    one_per_burst: bool = option(
        False, "Caption one picture of a burst, and give its caption to the others; needs -o LIBRARY."
    )

    def __post_init__(self) -> None:
        check(self)

    def check_format(self, *, library: bool) -> None:
        """Raises UsageError where results go to anything but a library."""
        if self.one_per_burst and not library:
            raise UsageError("--one-per-burst needs a library, which knows what was copied from where: -o photos.db")
