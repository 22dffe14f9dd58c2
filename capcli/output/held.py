"""What a file of rows holds of very many pictures, in few bytes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from capcli.files.keys import Keys, are_keys
from capcli.output import State

_STATES = tuple(State)

_MOST_NAMES = 100_000
"""Names that are looked up at once, beside those of one folder; pictures come folder by folder."""


class Held:
    """States of pictures, found by every spelling of their paths that does not go through links.

    A name takes its own bytes and one more. Those of a folder are spread out to be found, and folded up again when
    others are asked for.
    """

    def __init__(self) -> None:
        self._keys = Keys()
        self._folded: defaultdict[str, tuple[bytearray, bytearray]] = defaultdict(lambda: (bytearray(), bytearray()))
        self._spread: dict[str, dict[str, State]] = {}

    def put(self, path: str, state: State) -> None:
        """Takes in what a row says; the last one of a picture counts."""
        folder, name = self._keys.key(path)
        names, states = self._folded[folder]
        names += name.encode("utf-8", "surrogatepass") + b"/"  # which no name has
        states.append(_STATES.index(state))

    def state(self, path: str) -> State | None:
        """What it holds of a picture."""
        folder, name = self._keys.key(path)
        return self._of(folder).get(name)

    def states(self, folder: str, names: Sequence[str]) -> list[State | None]:
        """What it holds of pictures of a folder, by their names there."""
        if are_keys(names):
            return list(map(self._of(self._keys.folder(folder)).get, names))
        return [self.state(os.path.join(folder, name)) for name in names]  # noqa: PTH118

    def key(self, path: str) -> tuple[str, str]:
        """The same for every spelling of a path."""
        return self._keys.key(path)

    def keys(self, paths: Iterable[str]) -> set[tuple[str, str]]:
        """The keys of those pictures that it holds something of."""
        return {key for key in map(self._keys.key, paths) if key[1] in self._of(key[0])}

    def drop(self, keys: Iterable[tuple[str, str]]) -> None:
        """Holds nothing of pictures any more, by their keys."""
        for folder, gone in groupby(sorted(keys), itemgetter(0)):
            names = {name for _, name in gone}
            left = {name: state for name, state in self._of(folder).items() if name not in names}
            folded = "".join(f"{name}/" for name in left).encode("utf-8", "surrogatepass")
            self._folded[folder] = bytearray(folded), bytearray(map(_STATES.index, left.values()))
            self._spread.pop(folder, None)

    def __len__(self) -> int:
        return sum(len(set(bytes(names).split(b"/")[:-1])) for names, _ in self._folded.values())

    def _of(self, folder: str) -> dict[str, State]:
        """The states of the pictures of a folder by their names."""
        held = self._spread.get(folder)
        if held is None:
            if folder not in self._folded:
                return {}
            while self._spread and sum(map(len, self._spread.values())) > _MOST_NAMES:
                del self._spread[next(iter(self._spread))]
            names, states = self._folded[folder]
            each = names.decode("utf-8", "surrogatepass").split("/")[:-1]
            held = self._spread[folder] = dict(zip(each, map(_STATES.__getitem__, states), strict=True))
        return held
