"""Which pictures a user means by files, folders and patterns."""

from __future__ import annotations

import functools
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from capcli.errors import UsageError

EXTENSIONS = frozenset(
    f".{extension}"
    for extension in (
        *("jpg", "jpeg", "jpe", "jfif", "jif", "mpo", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "png", "apng", "gif"),
        *("webp", "avif", "avifs", "heic", "heics", "heif", "heifs", "hif"),
        *("tif", "tiff", "bmp", "dib", "tga", "qoi", "ppm", "pgm", "pbm", "pnm"),
    )
)


@dataclass(frozen=True)
class Found:
    """What a search came upon.

    Attributes:
        pictures: in order, each once. Some may turn out unreadable, or not to exist: reading them tells.
        notes: remarks for the user, one line each and without a final stop.
    """

    pictures: list[Path]
    notes: list[str]


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
    extension and are not hidden, naturally sorted (img2 before img10); with `recursive`, then those of its
    sub-folders. A folder that may not be looked into is listed itself, as is a path that does not exist: reading
    it gives the reason. A path of `paths` that does not exist and holds `*`, `?` or `[` stands for what it
    matches, as it would in a shell.

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
    named = [(path, _expand(path)) for path in paths]
    missing = [path for path, matches in named if not matches]
    if missing and len(missing) == len(paths) and not listed:
        raise UsageError(f"no such file or folder: {_and_others(missing[0], len(missing), 'path')}")
    for path, matches in named:
        if not matches:
            search.keep(Path(path))
        for match in matches:
            search.add(match)
    for path in listed:
        search.add(path)
    if (paths or listed) and not search.found:
        raise UsageError(search.emptiness())
    return Found(list(search.found.values()), search.notes())


class _Search:
    def __init__(self, recursive: bool, include: _Patterns | None, exclude: _Patterns) -> None:
        self.found: dict[tuple[str, str], Path] = {}
        self._recursive = recursive
        self._include = include
        self._exclude = exclude
        self._empty: list[Path] = []
        self._hidden: dict[tuple[str, str], Path] = {}
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
        if not self._recursive and any(True for folder in self._empty for _ in self._walk(folder, recursive=True)):
            return f"no pictures in {where}; -r looks into sub-folders"
        return f"no pictures in {where}" + (" that --include and --exclude let through" if self._rejected else "")

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
        return notes

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
            folders = []
            for entry in entries:
                is_folder = _is_dir(entry)
                if not (recursive if is_folder else Path(entry.name).suffix.lower() in EXTENSIONS):
                    continue
                below = way + entry.name
                wanted = included or (self._include is not None and self._include.match(below))
                if self._exclude.match(below) or not (wanted or is_folder):
                    self._rejected = True
                elif entry.name.startswith("."):
                    self._hidden.setdefault((real, entry.name), here / entry.name)
                elif is_folder:
                    folders.append((here / entry.name, below + "/", wanted))
                else:
                    yield here / entry.name
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


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


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
