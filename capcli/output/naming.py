"""What the files are called that belong to pictures: one name for each, wherever they go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from capcli.pictures.kinds import EXTENSIONS, is_raw, split_ending

_REMEMBERED = 16
"""Folders whose names are remembered: pictures come folder by folder, and there may be very many."""


class _Listing(NamedTuple):
    """The files of a folder.

    Attributes:
        names: of all.
        endings: of all.
        stems: how often each stem is a picture's.
        raws: how often each stem is a raw file's.
    """

    names: set[str]
    endings: set[str]
    stems: Counter[str]
    raws: Counter[str]


class Naming:
    """Names files after pictures, beside them or in a folder with the same structure.

    A file is named after its picture without the picture's ending. Where other pictures in the folder would have the
    same, each keeps its ending: a.jpg.txt and a.png.txt. So does a raw file if a picture or another raw file would
    have the same.

    Args:
        folder: where to, with the folders of the pictures below `base`; None for beside them.
        base: folder that holds all pictures.
        is_ours: whether a file beside pictures is one that capcli made, so that it changes no name; by default none is.
    """

    def __init__(self, folder: Path | None, base: Path, is_ours: Callable[[Path], bool] | None = None) -> None:
        self._folder, self._base, self._is_ours = folder, absolute(base), is_ours
        self._listings: dict[str, _Listing] = {}
        self._target = lru_cache(_REMEMBERED)(self._find_target)

    def path_of(self, picture: Path, ending: str) -> Path:
        """The file of a picture with an ending such as `.txt`; no two pictures share one."""
        whole = self.whole(picture, ending)
        raw = is_raw(picture.name)
        if raw or picture.suffix.lower() in EXTENSIONS:
            beside, stem = self._files_beside(picture), picture.stem.casefold()
            pictures, raws = beside.stems[stem], beside.raws[stem]
            alone = pictures == 0 and raws == 1 if raw else pictures == 1
            # With an a.png beside them a.jpg has a.jpg.txt, so a.jpg.jpg must not.
            if alone and stem not in beside.names:
                return whole.with_name(f"{picture.stem}{ending}")
        return whole

    def whole(self, picture: Path, ending: str) -> Path:
        """The same, with the picture's own ending kept in any case."""
        return self._target(picture.parent) / f"{picture.name}{ending}"

    def may_be_there(self, folder: Path, names: Sequence[str], ending: str) -> Collection[str]:
        """Those pictures of a folder of whom a file may be there, by its name in any case, as far as it was listed.

        It asks the system nothing, while a look for each spelling of a name asks many times.

        Args:
            folder: of the pictures.
            names: of the pictures.
            ending: of the files, such as `.txt`.
        """
        listing = self._list(os.fspath(self._target(folder)))
        if ending not in listing.endings:
            return ()
        there = listing.names
        return {
            name
            for name in names
            if f"{name}{ending}".casefold() in there or f"{split_ending(name)[0]}{ending}".casefold() in there
        }

    def add(self, path: Path) -> None:
        """Hear of a file that came to be there since."""
        if (listing := self._listings.get(os.fspath(path.parent))) is not None:
            name = path.name.casefold()
            listing.names.add(name)
            listing.endings.add(split_ending(name)[1])

    def _find_target(self, folder: Path) -> Path:
        return folder if self._folder is None else self._folder / absolute(folder).relative_to(self._base)

    def _files_beside(self, picture: Path) -> _Listing:
        """The files beside a picture; without regard to case."""
        return self._list(os.fspath(picture.parent), picture.name.casefold())

    def _list(self, folder: str, sought: str | None = None) -> _Listing:
        """The files in a folder, listed again where one is sought that came later; without regard to case."""
        listing = self._listings.get(folder)
        if listing is None or (sought is not None and sought not in listing.names):
            try:
                with os.scandir(folder) as entries:
                    found = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
            except (OSError, ValueError):  # a null byte, which reading reports
                found = []
            if self._is_ours is not None:
                found = [name for name in found if not self._is_ours(Path(folder, name))]
            names = [name.casefold() for name in found]
            parts = list(map(split_ending, names))
            # Given all of them, a Counter counts without Python.
            stems = Counter([stem for stem, ending in parts if ending in EXTENSIONS])
            endings = {ending for _, ending in parts}
            raw = {ending for ending in endings if is_raw(f"a{ending}")}
            raws = Counter([stem for stem, ending in parts if ending in raw])
            if len(self._listings) >= _REMEMBERED:
                del self._listings[next(iter(self._listings))]
            self._listings[folder] = listing = _Listing(set(names), endings, stems, raws)
        return listing


def absolute(path: Path) -> Path:
    """The path from the root on; unlike with Path.resolve, what is linked to stays where it was found."""
    return Path(os.path.abspath(path))  # noqa: PTH100
