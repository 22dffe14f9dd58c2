"""Paths as keys: one for every spelling that does not go through links."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

_WINDOWS = os.name == "nt"


class Keys:
    """Makes keys of very many paths, most of which lie in few folders.

    A key is a folder, absolute, and a name in it. Relative paths are of the folder that is the current one when the
    first path of their folder comes.
    """

    def __init__(self) -> None:
        self._folder = functools.lru_cache(1024)(_absolute)

    def key(self, path: str) -> tuple[str, str]:
        """The key of a path."""
        folder, slash, name = path.rpartition(os.sep)
        if are_keys((name,)):
            return self._folder(folder + slash), name
        folder, name = os.path.split(_absolute(path))
        return folder, name

    def folder(self, folder: str) -> str:
        """The folder in the keys of what lies in a folder."""
        return self._folder(folder)

    def paths(self, folder: str, names: Sequence[str]) -> list[str]:
        """The keys of what lies in a folder, each as one path."""
        if are_keys(names):
            begin = os.path.join(self._folder(folder), "")  # noqa: PTH118 - ends in a slash
            return [begin + name for name in names]
        return [_absolute(os.path.join(folder, name)) for name in names]  # noqa: PTH118


def are_keys(names: Sequence[str]) -> bool:
    """Whether names in a folder stand in keys as they are."""
    # Windows knows capitals from no others, and leaves out full stops and spaces at the end of a name.
    return not (_WINDOWS or "" in names or os.curdir in names or os.pardir in names)


def _absolute(path: str) -> str:
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
