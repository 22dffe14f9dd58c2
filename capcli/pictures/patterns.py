"""Shell patterns of names and of ways to them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase

from capcli.errors import UsageError


class Patterns:
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

    def __bool__(self) -> bool:
        return bool(self._names or self._ways)

    def match(self, path: str) -> bool:
        """Whether one of them matches a path, or a folder on the way to it."""
        if not self:
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
