"""What the files are called that belong to pictures: one name for each, wherever they go."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from capcli.pictures.kinds import EXTENSIONS, is_raw


class _Listing(NamedTuple):
    """The files of a folder.

    Attributes:
        names: of all.
        stems: how often each stem is a picture's.
        raws: how often each stem is a raw file's.
    """

    names: frozenset[str]
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
    """

    def __init__(self, folder: Path | None, base: Path) -> None:
        self._folder, self._base = folder, absolute(base)
        self._listings: dict[Path, _Listing] = {}

    def path_of(self, picture: Path, ending: str) -> Path:
        """The file of a picture with an ending such as `.txt`; no two pictures share one."""
        whole = self.whole(picture, ending)
        raw = is_raw(picture.name)
        if raw or picture.suffix.lower() in EXTENSIONS:
            names, stems, raws = self._files_beside(picture)
            stem = picture.stem.casefold()
            alone = stems[stem] == 0 and raws[stem] == 1 if raw else stems[stem] == 1
            # With an a.png beside them a.jpg has a.jpg.txt, so a.jpg.jpg must not.
            if alone and stem not in names:
                return whole.with_name(f"{picture.stem}{ending}")
        return whole

    def whole(self, picture: Path, ending: str) -> Path:
        """The same, with the picture's own ending kept in any case."""
        folder = picture.parent
        if self._folder is not None:
            folder = self._folder / absolute(folder).relative_to(self._base)
        return folder / f"{picture.name}{ending}"

    def _files_beside(self, picture: Path) -> _Listing:
        """The files beside a picture; without regard to case."""
        listing = self._listings.get(picture.parent)
        if listing is None or picture.name.casefold() not in listing[0]:
            # Listed again for a picture that came later.
            try:
                with os.scandir(picture.parent) as entries:
                    names = [entry.name.casefold() for entry in entries if not entry.is_dir(follow_symlinks=False)]
            except (OSError, ValueError):  # a null byte, which reading reports
                names = []
            stems = Counter(Path(name).stem for name in names if Path(name).suffix in EXTENSIONS)
            raws = Counter(Path(name).stem for name in names if is_raw(name))
            listing = _Listing(frozenset(names), stems, raws)
            self._listings[picture.parent] = listing
        return listing


def absolute(path: Path) -> Path:
    """The path from the root on; unlike with Path.resolve, what is linked to stays where it was found."""
    return Path(os.path.abspath(path))  # noqa: PTH100
