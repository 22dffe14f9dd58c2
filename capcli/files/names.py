r"""Names of files that are safe on a terminal and fit on one line.

Control characters and backslashes are written as in Python (`\t`, `\n`, `\x1b`, `\\`); all else stays as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_CONTROL = (*range(0x20), *range(0x7F, 0xA0))
# Windows allows no control characters in names, and there the backslash parts folders.
_ESCAPES = {} if os.sep == "\\" else {code: repr(chr(code))[1:-1] for code in (*_CONTROL, ord("\\"))}
_CHARACTERS = {escape: chr(code) for code, escape in _ESCAPES.items()}
_ESCAPE = re.compile(r"\\(?:x..|.)")


def escape(path: str | Path) -> str:
    """A path on one line, free of tabs and of anything that steers a terminal."""
    return str(path).translate(_ESCAPES)


def unescape(text: str) -> Path:
    """The path that `escape` wrote."""
    return Path(_ESCAPE.sub(lambda match: _CHARACTERS.get(match[0], match[0]), text) if _CHARACTERS else text)
