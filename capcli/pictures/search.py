"""One look for pictures in files and folders, by rules."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from capcli.pictures.kinds import EXTENSIONS, LEFT_OUT, START, ending_of, is_picture, is_video, split_ending
from capcli.pictures.patterns import Patterns


@dataclass(frozen=True, eq=False)
class Rules:
    """Which files in a folder count.

    Attributes:
        recursive: those of sub-folders, too.
        include: those alone that it matches, and all below; None for all.
        exclude: not those that it matches, nor what is below.
    """

    recursive: bool
    include: Patterns | None
    exclude: Patterns

    def includes(self, way: str) -> bool:
        return self.include is None or self.include.match(way)

    def takes_all(self, visit: _Visit) -> bool:
        """Whether every file in a folder counts, whatever it is called."""
        return not self.exclude and (visit.included or self.include is None)

    def takes(self, way: str, *, included: bool = False) -> bool:
        """Whether a file counts by its way from the folder given, below a folder of which all is included or not."""
        return not (self.exclude and self.exclude.match(way)) and (included or self.includes(way))


@dataclass(frozen=True)
class _Visit:
    """How a search comes to a folder.

    Attributes:
        folder: its path.
        way: to it from the folder given, with a slash at the end.
        included: whether a name on the way is included, and all below with it.
    """

    folder: Path
    way: str
    included: bool


@dataclass
class _Contents:
    """The names in a folder that mean something to a search.

    Attributes:
        pictures: those that count, in order.
        folders: that are to be looked into, in order.
        hidden: what would count if it were not, each with whether it is a folder.
        left_out: files that hold pictures of kinds that capcli does not read.
        stems: the pictures' names without case, with their endings and without, where `left_out` has videos.
        rejected: whether the rules let something not through.
    """

    pictures: list[str] = field(default_factory=list)
    folders: list[_Visit] = field(default_factory=list)
    hidden: list[tuple[str, bool]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    stems: set[str] = field(default_factory=set)
    rejected: bool = False


LookInto = Callable[["_Visit", Rules], _Contents]

Beside = tuple[Path, Sequence[str]]
"""A folder, and names of pictures in it, in order.

A Path takes longer to make than all else that is done to find a name, and many who look through all pictures need none.
"""


def remembering() -> LookInto:
    """Lists folders, and remembers the last one with pictures: most searches are for those of one, and come twice."""
    last: tuple[_Visit, Rules, _Contents] | None = None

    def look_into(visit: _Visit, rules: Rules) -> _Contents:
        nonlocal last
        known = last
        if known is not None and known[:2] == (visit, rules):
            return known[2]
        contents = _look_into(visit, rules)
        if contents.pictures:
            last = visit, rules, contents
        return contents

    return look_into


class Search:
    """One look for pictures, each of which it gives once.

    Args:
        rules: which files count.
        look_into: lists a folder; `remembering` gives one that several searches can share.
    """

    def __init__(self, rules: Rules, look_into: LookInto | None = None) -> None:
        self._rules, self._look_into = rules, look_into or _look_into
        self._found = self._rejected = False
        self._kept: set[tuple[str, str]] = set()
        self._visits: dict[str, list[_Visit]] = {}
        self._empty: list[Path] = []
        self._hidden: Path | None = None
        self._hidden_count = 0
        self._left_out: Counter[str] = Counter()
        self._real = functools.cache(_real)

    def add(self, path: str | Path) -> Iterator[Beside]:
        """A file, or the pictures of a folder, as far as the rules let them through and they did not come before."""
        if not is_folder(path):
            if self._rules.takes(Path(path).as_posix()):
                yield from self.keep(Path(path))
            else:
                self._rejected = True
            return
        empty = True
        for visit, names in self._walk(Path(path)):
            if names is None:
                empty = False
                yield from self.keep(visit.folder)
                continue
            empty = empty and not names
            if new := self._new(self._real(visit.folder), names):
                self._found = True
                yield visit.folder, new
        if empty:
            self._empty.append(Path(path))

    def keep(self, picture: Path) -> Iterator[Beside]:
        """A picture whatever the rules say, unless it came before."""
        # The folder is resolved and the name is not: a link beside its target is a picture of its own.
        real, name = self._real(picture.parent), picture.name
        key = real, os.path.normcase(name)
        if key in self._kept or (real in self._visits and self._is_of_walk(real, picture)):
            return
        self._kept.add(key)
        self._found = True
        yield picture.parent, [name]

    def emptiness(self) -> str:
        """Why nothing is found, or nothing in some folders; one line."""
        if not self._empty:
            return "--include and --exclude leave none of the files named"
        where = and_others(self._empty[0], len(self._empty), "folder")
        text = f"no pictures in {where}" + (" that --include and --exclude let through" if self._rejected else "")
        if not self._rules.recursive:
            deeper = Search(replace(self._rules, recursive=True))
            if any(names is None or names for folder in self._empty for _, names in deeper._walk(folder)):
                text = f"no pictures in {where}; -r looks into sub-folders"
        return text if self._found or not self._left_out else f"{text}; {self._describe_left_out()}"

    def notes(self) -> list[str]:
        """Remarks on what was found, one line each, once all is."""
        notes = []
        if self._hidden:
            notes.append(
                f"left out {self._hidden_count:,} hidden files and folders, such as {self._hidden}"
                if self._hidden_count > 1
                else f"left out a hidden file or folder: {self._hidden}"
            )
        if self._empty:
            notes.append(self.emptiness())
        if self._left_out:
            notes.append(self._describe_left_out())
        return notes

    def _describe_left_out(self) -> str:
        kinds: dict[str, list[str]] = {}
        for ending, count in sorted(self._left_out.items(), key=lambda counted: (-counted[1], counted[0])):
            kinds.setdefault(LEFT_OUT[ending], []).append(f"{count:,} {ending}")
        return "left out " + ", ".join(f"{' and '.join(endings)} ({why})" for why, endings in kinds.items())

    def _walk(self, folder: Path) -> Iterator[tuple[_Visit, list[str] | None]]:
        """Folders, each with the names of its pictures in order; None where it may not be looked into."""
        seen: set[str] = set()
        waiting = [_Visit(folder, "", self._rules.include is None)]
        while waiting:
            visit = waiting.pop()
            real = self._real(visit.folder)
            if real in seen:  # a link that leads back up
                continue
            seen.add(real)
            try:
                contents = self._look_into(visit, self._rules)
            except OSError:
                yield visit, None
                continue
            self._rejected = self._rejected or contents.rejected
            self._visits.setdefault(real, []).append(visit)
            yield visit, contents.pictures
            self._count_others(real, visit, contents)
            waiting += reversed(contents.folders)

    def _count_others(self, real: str, visit: _Visit, contents: _Contents) -> None:
        hidden = [name for name, is_folder in contents.hidden if not self._came_before(real, name, is_folder=is_folder)]
        if hidden and self._hidden is None:
            self._hidden = visit.folder / min(hidden, key=natural)
        self._hidden_count += len(hidden)
        for name in contents.left_out:
            is_clip = is_video(name) and split_ending(name)[0].casefold() in contents.stems
            if not (is_clip or self._came_before(real, name)):
                self._left_out[ending_of(name)] += 1

    def _new(self, real: str, names: Sequence[str]) -> Sequence[str]:
        """Those of the names in the folder of the visit that goes on that did not come before."""
        if not self._kept and len(self._visits[real]) == 1:
            return names
        return [
            name
            for name in names
            if (real, os.path.normcase(name)) not in self._kept and not self._came_before(real, name)
        ]

    def _came_before(self, real: str, name: str, *, is_folder: bool = False) -> bool:
        """Whether a name in the folder of the visit that goes on counted at an earlier one: a folder named twice."""
        earlier = self._visits[real][:-1]
        return any(self._rules.takes(visit.way + name, included=visit.included or is_folder) for visit in earlier)

    def _is_of_walk(self, real: str, picture: Path) -> bool:
        """Whether a visit of its folder gave a picture already."""
        visits = self._visits[real]
        return (
            any(self._rules.takes(visit.way + picture.name, included=visit.included) for visit in visits)
            and not picture.name.startswith(".")
            and _kind_of(picture) is _Kind.PICTURE
        )


def is_folder(path: str | Path) -> bool:
    """Whether a path leads to a folder; False for what is no path."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return False


class _Kind(Enum):
    FOLDER, PICTURE, LEFT_OUT = range(3)


def _look_into(visit: _Visit, rules: Rules) -> _Contents:
    """What a folder has for a search; raises OSError."""
    contents, others, all_count = _Contents(), list[str](), rules.takes_all(visit)
    with os.scandir(visit.folder) as entries:
        for entry in entries:
            kind, name = _kind_of(entry), entry.name
            if all_count and kind is _Kind.PICTURE and name[0] != ".":  # nearly always, so that it is to be fast
                contents.pictures.append(name)
                continue
            if kind is None or (kind is _Kind.FOLDER and not rules.recursive):
                continue
            way = visit.way + name
            if not rules.takes(way, included=visit.included or kind is _Kind.FOLDER):
                contents.rejected = contents.rejected or kind is not _Kind.LEFT_OUT
            elif kind is _Kind.LEFT_OUT:
                contents.left_out.append(name)
            elif name.startswith("."):
                contents.hidden.append((name, kind is _Kind.FOLDER))
            elif kind is _Kind.FOLDER:
                included = visit.included or rules.includes(way)
                contents.folders.append(_Visit(visit.folder / name, f"{way}/", included))
            else:
                contents.pictures.append(name)
                continue
            if kind is _Kind.PICTURE:
                others.append(name)
    _sort(contents.pictures)
    contents.folders.sort(key=lambda below: natural(below.folder.name))
    if any(map(is_video, contents.left_out)):
        for name in (*contents.pictures, *others):
            contents.stems |= {name.casefold(), split_ending(name)[0].casefold()}
    return contents


def _kind_of(entry: os.DirEntry[str] | Path) -> _Kind | None:
    """What an entry of a folder is to a search; None for what is no picture of any kind."""
    try:
        if entry.is_dir():
            return _Kind.FOLDER
    except OSError:  # a link to itself, which by its name may still be a picture that reading reports
        pass
    ending = ending_of(entry.name)
    if ending in EXTENSIONS:
        return _Kind.PICTURE
    if entry.name.startswith("."):
        return None
    if ending in LEFT_OUT:
        return _Kind.LEFT_OUT
    try:
        # Opened only where it is a file, because opening a pipe waits for a writer.
        if not ending and entry.is_file():
            with open(entry, "rb", buffering=0) as file:  # noqa: PTH123 - an entry is no Path
                return _Kind.PICTURE if is_picture(file.read(START)) else None
    except OSError:  # as above, or a file that may not be read
        pass
    return None


def _real(folder: Path) -> str:
    try:
        return os.path.realpath(folder)
    except (OSError, ValueError):  # a null byte, which reading reports
        return str(folder)


def and_others(first: str | Path, count: int, noun: str) -> str:
    """The first of several things, and how many others there are."""
    others = count - 1
    return f"{first}" + (f" and {others:,} other {noun}{'s' if others > 1 else ''}" if others else "")


def natural(name: str) -> str:
    """What to sort names by, so that the numbers in them count as numbers: img2 before img10."""
    # One text, because texts are compared much faster than lists. NUL, which no name holds, comes before every letter,
    # as the end of a text does; behind it stands how long the number is, then the number.
    return f"{_NUMBER.sub(_sortable, name.casefold())}\0\0{name}"


def _sort(names: list[str]) -> None:
    """Sorts names as `natural` does."""
    if not names:
        return
    # Where names differ in digits alone, at the same places, numbers that are larger are also later in the alphabet.
    alike = re.sub("[0-9]+", lambda digits: f"[0-9]{{{len(digits[0])}}}", re.escape(names[0].casefold()))
    if all(map(re.compile(alike, re.DOTALL).fullmatch, map(str.casefold, names))):
        names.sort()
        names.sort(key=str.casefold)
    else:
        names.sort(key=natural)


_NUMBER = re.compile("0*([0-9]+)")


def _sortable(number: re.Match[str]) -> str:
    digits = number[1]
    return f"\0{chr(len(digits))}{digits}"
