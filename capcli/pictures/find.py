"""Which pictures a user means by files, folders and patterns."""

from __future__ import annotations

import functools
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from capcli.errors import UsageError
from capcli.pictures.kinds import EXTENSIONS, LEFT_OUT, START, ending_of, is_picture, is_video
from capcli.pictures.spelling import respell


@dataclass(frozen=True)
class Found:
    """What a search came upon.

    Attributes:
        pictures: in order, each once. Some may turn out unreadable, or not to exist: reading them tells.
        notes: remarks for the user, one line each and without a final stop.
        alone: whether all that was named is one file, by its own path.
    """

    pictures: list[Path]
    notes: list[str]
    alone: bool = False


def find_pictures(
    paths: Sequence[str | Path],
    *,
    listed: Sequence[str | Path] = (),
    recursive: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Found:
    """List the pictures that `paths` name, then those that `listed` names, in the order given, each once.

    Files are taken as named, whatever their extension. A folder contributes the files in it that have a known
    extension, or none and the first bytes of a picture, and are not hidden, naturally sorted (img2 before img10); with
    `recursive`, then those of its sub-folders. What else holds pictures there, such as raw files, drawings and videos,
    is left out, and a note counts it by kind and says why; a video of the same name as a picture is not counted,
    because it is that picture's own clip (a live photo). A folder that may not be looked into is listed itself, as is a
    path that does not exist: reading it gives the reason. A path that does not exist may also be a `file:` URL, or in
    quotes or with backslashes as a shell has it: see `capcli.pictures.spelling`. One of `paths` that does not exist and
    holds `*`, `?` or `[` stands for what it matches, as it would in a shell.

    A pattern of `include` or `exclude` is of the kind that shells know, without regard to case. One without a
    slash is held against the name of each file and of each folder on the way to it below the folder given; one
    with a slash against the whole way, where `*` ends at a slash and `**/` spans any number of folders. What
    `exclude` matches is left out with all below it; with `include`, only what it matches is taken, and all below
    it. Of files that are named themselves the name counts, or the path as given.

    Raises:
        UsageError: where none of `paths` exists and nothing is listed, where no picture is found at all, and for
            an empty path or pattern.
    """
    search = _Search(recursive, _Patterns(include) if include else None, _Patterns(exclude))
    if not all(map(str, (*paths, *listed))):
        raise UsageError('no such file or folder: "" (an empty path)')
    meant = [respell(path) for path in paths]
    named = [(path, _expand(path)) for path in meant]
    missing = [path for path, matches in named if not matches]
    if missing and len(missing) == len(paths) and not listed:
        raise UsageError(f"no such file or folder: {_and_others(missing[0], len(missing), 'path')}")
    for path, matches in named:
        if not matches:
            search.keep(Path(path))
        for match in matches:
            search.add(match)
    for path in listed:
        search.add(respell(path))
    if (paths or listed) and not search.found:
        raise UsageError(search.emptiness())
    pictures = list(search.found.values())
    alone = len(meant) == 1 and not listed and pictures == [Path(meant[0])]
    return Found(pictures, search.notes(), alone)


class _Search:
    def __init__(self, recursive: bool, include: _Patterns | None, exclude: _Patterns) -> None:
        self.found: dict[tuple[str, str], Path] = {}
        self._recursive = recursive
        self._include = include
        self._exclude = exclude
        self._empty: list[Path] = []
        self._hidden: dict[tuple[str, str], Path] = {}
        self._left_out: dict[tuple[str, str], str] = {}
        self._rejected = False
        self._real = functools.cache(_real)

    def add(self, path: str | Path) -> None:
        """Take a file, or the pictures of a folder, as far as the patterns let them through."""
        if _is_folder(path):
            pictures = list(self._walk(Path(path), self._recursive))
            for picture in pictures:
                self.keep(picture)
            if not pictures:
                self._empty.append(Path(path))
            return
        given = Path(path).as_posix()
        if self._exclude.match(given) or not (self._include is None or self._include.match(given)):
            self._rejected = True
        else:
            self.keep(Path(path))

    def keep(self, picture: Path) -> None:
        # The folder is resolved and the name is not: a link beside its target is a picture of its own.
        self.found.setdefault((self._real(picture.parent), os.path.normcase(picture.name)), picture)

    def emptiness(self) -> str:
        if not self._empty:
            return "--include and --exclude leave none of the files named"
        where = _and_others(self._empty[0], len(self._empty), "folder")
        text = f"no pictures in {where}" + (" that --include and --exclude let through" if self._rejected else "")
        if not self._recursive:
            deeper = _Search(True, self._include, self._exclude)
            if any(True for folder in self._empty for _ in deeper._walk(folder, recursive=True)):
                text = f"no pictures in {where}; -r looks into sub-folders"
        return text if self.found or not self._left_out else f"{text}; {self._told_left_out()}"

    def notes(self) -> list[str]:
        notes = []
        if self._hidden:
            count, first = len(self._hidden), next(iter(self._hidden.values()))
            notes.append(
                f"left out {count:,} hidden files and folders, such as {first}"
                if count > 1
                else f"left out a hidden file or folder: {first}"
            )
        if self._empty:
            notes.append(self.emptiness())
        if self._left_out:
            notes.append(self._told_left_out())
        return notes

    def _told_left_out(self) -> str:
        kinds: dict[str, list[str]] = {}
        counts = Counter(self._left_out.values())
        for ending, count in sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])):
            kinds.setdefault(LEFT_OUT[ending], []).append(f"{count:,} {ending}")
        return "left out " + ", ".join(f"{' and '.join(endings)} ({why})" for why, endings in kinds.items())

    def _walk(self, folder: Path, recursive: bool) -> Iterator[Path]:
        seen: set[str] = set()
        waiting = [(folder, "", self._include is None)]
        while waiting:
            here, way, included = waiting.pop()
            real = self._real(here)
            if real in seen:  # a link that leads back up
                continue
            seen.add(real)
            try:
                with os.scandir(here) as scan:
                    entries = sorted(scan, key=lambda entry: _natural(entry.name))
            except OSError:
                yield here
                continue
            folders: list[tuple[Path, str, bool]] = []
            left_out: list[str] = []
            stems: set[str] = set()
            for entry in entries:
                kind = _kind_of(entry)
                if kind is None or (kind is _Kind.FOLDER and not recursive):
                    continue
                if kind is _Kind.PICTURE:
                    stems |= {entry.name.casefold(), Path(entry.name).stem.casefold()}
                below = way + entry.name
                wanted = included or (self._include is not None and self._include.match(below))
                if self._exclude.match(below) or not (wanted or kind is _Kind.FOLDER):
                    self._rejected = self._rejected or kind is not _Kind.LEFT_OUT
                elif kind is _Kind.LEFT_OUT:
                    left_out.append(entry.name)
                elif entry.name.startswith("."):
                    self._hidden.setdefault((real, entry.name), here / entry.name)
                elif kind is _Kind.FOLDER:
                    folders.append((here / entry.name, below + "/", wanted))
                else:
                    yield here / entry.name
            for name in left_out:
                if not (is_video(name) and Path(name).stem.casefold() in stems):
                    self._left_out[real, name] = ending_of(name)
            waiting += reversed(folders)


class _Patterns:
    """Shell patterns, any of which may match a path relative to a folder, with "/" between its parts."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names: list[str] = []
        self._ways: list[list[str]] = []
        for pattern in patterns:
            # Only on Windows is the backslash a separator, and there no name holds one.
            folded = _fold(pattern.replace(os.sep, "/")).rstrip("/")
            parts = [part for part in folded.split("/") if part not in ("", ".")]
            if not parts or not folded.strip():
                raise UsageError(f'"{pattern}" is no pattern; --include and --exclude take one such as "*.jpg"')
            if "/" in folded:
                self._ways.append(parts)
            else:
                self._names.append(folded)

    def match(self, path: str) -> bool:
        if not (self._names or self._ways):
            return False
        parts = [part for part in _fold(path).split("/") if part]
        return any(fnmatchcase(parts[-1], name) for name in self._names) or any(
            _match_parts(parts, way) for way in self._ways
        )


def _match_parts(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return True  # of a file, or of a folder above it
    if not parts:
        return pattern == ["**"]
    if pattern[0] == "**":
        return _match_parts(parts, pattern[1:]) or _match_parts(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _match_parts(parts[1:], pattern[1:])


def _fold(text: str) -> str:
    # macOS hands out names with accents apart from their letters, while keyboards type them in one.
    return unicodedata.normalize("NFC", text).lower()


def _expand(path: str | Path) -> Sequence[str | Path]:
    """The path if it exists, otherwise what it matches as a pattern: for shells that leave that to the program."""
    try:
        # Not Path.stat: to it "" is the current folder.
        os.stat(path)  # noqa: PTH116
    except PermissionError:
        pass  # it may well exist; reading it tells
    except (OSError, ValueError):
        return _glob(Path(path)) if re.search("[*?[]", str(path)) else []
    return [path]


def _glob(pattern: Path) -> list[Path]:
    # Not glob.glob: its "**" follows links, and where two of them lead back up it does not end in a lifetime.
    try:
        matches = list(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    except (OSError, ValueError, NotImplementedError):  # no pattern to pathlib either
        return []
    visible = [match for match in matches if _dots(match) <= _dots(pattern)]
    return sorted(visible, key=lambda match: [_natural(part) for part in match.parts])


def _dots(path: Path) -> int:
    return sum(part.startswith(".") for part in path.parts)


def _is_folder(path: str | Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return False


class _Kind(Enum):
    FOLDER, PICTURE, LEFT_OUT = range(3)


def _kind_of(entry: os.DirEntry[str]) -> _Kind | None:
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
            with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123 - an entry is no Path
                return _Kind.PICTURE if is_picture(file.read(START)) else None
    except OSError:  # as above, or a file that may not be read
        pass
    return None


def _real(folder: Path) -> str:
    try:
        return os.path.realpath(folder)
    except (OSError, ValueError):  # a null byte, which reading reports
        return str(folder)


def _and_others(first: str | Path, count: int, noun: str) -> str:
    others = count - 1
    return f"{first}" + (f" and {others:,} other {noun}{'s' if others > 1 else ''}" if others else "")


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
