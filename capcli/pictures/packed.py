"""Very many pictures in few bytes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from capcli.pictures.find import by_folder
from capcli.pictures.search import Beside


class Packed(Collection[Path]):
    """Pictures in their order; a name takes its own bytes and one more.

    Args:
        pictures: of a folder together, as `by_folder` gives them.
    """

    def __init__(self, pictures: Iterable[Beside] = ()) -> None:
        self._folders: list[tuple[str, bytes]] = []
        self._count = 0
        for folder, names in pictures:
            if names:
                self._count += len(names)
                self._folders.append((os.fspath(folder), "/".join(names).encode("utf-8", "surrogatepass")))

    @classmethod
    def of(cls, pictures: Iterable[Path]) -> Packed:
        """Packs any pictures."""
        return cls(by_folder(pictures))

    def by_folder(self) -> Iterator[Beside]:
        """The pictures of a folder together, without paths of each."""
        for folder, names in self._folders:
            yield Path(folder), names.decode("utf-8", "surrogatepass").split("/")

    def __iter__(self) -> Iterator[Path]:
        return (folder / name for folder, names in self.by_folder() for name in names)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, picture: object) -> bool:
        return any(picture == path for path in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self._count)
