"""Which pictures a user means by files, folders and patterns."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Protocol, runtime_checkable

from capcli.errors import UsageError
from capcli.pictures.patterns import Patterns
from capcli.pictures.search import Beside, Rules, Search, and_others, is_folder, natural, remembering
from capcli.pictures.spelling import explain_absence, respell


@runtime_checkable
class InFolders(Protocol):
    """Pictures that are at hand by their folders."""

    def by_folder(self) -> Iterator[Beside]:
        """Those of a folder together, without paths of each; in order."""
        ...


class Found:
    """The pictures that paths name, in order, each once; some may turn out unreadable, or not to exist.

    Each iteration looks for them anew, and has the first one as soon as it has listed a folder with pictures. It
    remembers the names of one folder at a time, beside all folders and all files that were named one by one. Several
    threads may iterate, each for itself.

    Args:
        named: paths, each with whether it exists.
        listed: paths of a list.
        rules: which files in folders count.
        alone: whether all that was named is one file, by its own path.

    Attributes:
        alone: as given.

    Raises:
        UsageError: if there is no picture at all.
    """

    def __init__(
        self, named: Sequence[tuple[str | Path, bool]], listed: Sequence[str | Path], rules: Rules, *, alone: bool
    ) -> None:
        self._named, self._listed, self._rules, self.alone = named, listed, rules, alone
        self._notes: list[str] | None = None
        self._seen: set[Path] | None = None
        self._look_into = remembering()
        search = Search(rules, self._look_into)
        pictures = self._look(search)
        first = next(pictures, None)
        if first is None and (named or listed):
            raise UsageError(search.emptiness())
        self._begun: Iterator[Beside] | None = pictures if first is None else chain([first], pictures)

    def __iter__(self) -> Iterator[Path]:
        for folder, names in self._by_folder():
            for name in names:
                picture = folder / name
                if self._seen is not None:
                    self._seen.add(picture)
                yield picture

    def by_folder(self) -> Iterator[Beside]:
        """An iteration that gives those of a folder together, and makes no paths; `by_folder` takes any pictures."""
        for folder, names in self._by_folder():
            if self._seen is not None:
                self._seen.update(folder / name for name in names)
            yield folder, names

    @cached_property
    def pictures(self) -> list[Path]:
        """All of them, remembered."""
        return list(self)

    @property
    def notes(self) -> list[str]:
        """Remarks for the user, one line each and without a final stop; looks everywhere, where no iteration did."""
        if self._notes is None:
            deque(self._look(Search(self._rules, self._look_into)), maxlen=0)
        return self._notes or []

    def remember(self) -> set[Path]:
        """Has iterations put what they give into a set, from now on, and returns the set."""
        self._seen = set()
        return self._seen

    @property
    def named(self) -> list[str]:
        """The files and folders that were named outside of a list, with what a pattern matches in its place."""
        return [str(path) for path, _ in self._named]

    def files(self) -> Iterator[Path]:
        """The files that were named one by one, and paths that do not exist."""
        return (Path(path) for path, _ in self._paths() if not is_folder(path))

    def _paths(self) -> Iterator[tuple[str | Path, bool]]:
        yield from self._named
        for path in self._listed:
            yield respell(path), True

    def _by_folder(self) -> Iterator[Beside]:
        begun, self._begun = self._begun, None
        return begun or self._look(Search(self._rules, self._look_into))

    def _look(self, search: Search) -> Iterator[Beside]:
        for path, exists in self._paths():
            yield from search.add(path) if exists else search.keep(Path(path))
        self._notes = search.notes()


def by_folder(pictures: Iterable[Path]) -> Iterator[Beside]:
    """Pictures in their order, those together that come one after another from one folder."""
    if isinstance(pictures, InFolders):
        yield from pictures.by_folder()
        return
    for folder, beside in groupby(pictures, attrgetter("parent")):
        yield folder, [picture.name for picture in beside]


def find_pictures(
    paths: Sequence[str | Path],
    *,
    listed: Sequence[str | Path] = (),
    recursive: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Found:
    """Find the pictures that `paths` name, then those that `listed` names, in the order given, each once.

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
    rules = Rules(recursive, Patterns(include) if include else None, Patterns(exclude))
    if not all(map(str, (*paths, *listed))):
        raise UsageError('no such file or folder: "" (an empty path)')
    meant = [respell(path) for path in paths]
    matches = [_expand(path) for path in meant]
    missing = [path for path, found in zip(meant, matches, strict=True) if not found]
    if missing and len(missing) == len(paths) and not listed:
        named_first = and_others(missing[0], len(missing), "path")
        raise UsageError(f"no such file or folder: {named_first}{explain_absence(*missing)}")
    named: list[tuple[str | Path, bool]] = []
    for path, found in zip(meant, matches, strict=True):
        named += [(match, True) for match in found] or [(path, False)]
    alone = len(named) == 1 and not listed and named[0][0] == meant[0] and not is_folder(meant[0])
    return Found(named, listed, rules, alone=alone)


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
    return sorted(visible, key=lambda match: [natural(part) for part in match.parts])


def _dots(path: Path) -> int:
    return sum(part.startswith(".") for part in path.parts)
