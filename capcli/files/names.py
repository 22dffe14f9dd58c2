r"""Names of files, and texts of strangers, that are safe on a terminal and fit on one line.

In a name that is to be read back, control characters, backslashes and byte order marks are written as in Python (`\t`,
`\n`, `\x1b`, `\\`, `\ufeff`); all else stays as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from capcli.errors import STEERING

_CONTROL = (*range(0x20), *range(0x7F, 0xA0))
# Unseen, and at the beginning of a file it is no part of a name.
_MARK = 0xFEFF
# Windows allows no control characters in names, and there the backslash parts folders.
_ESCAPES = {} if os.sep == "\\" else {code: repr(chr(code))[1:-1] for code in (*_CONTROL, _MARK, ord("\\"))}
_CHARACTERS = {escape: chr(code) for code, escape in _ESCAPES.items()}
_ESCAPE = re.compile(r"\\(?:x..|u....|.)")


def escape(path: str | Path) -> str:
    """A path on one line, free of tabs and of anything that steers a terminal."""
    return str(path).translate(_ESCAPES)


def printable(text: str) -> str:
    """A text that cannot steer a terminal, for people: whatever could, such as a control character, as in Python.

    Backslashes stay as they are, so that what `repr` wrote is not written twice.
    """
    return text.translate(STEERING)


def unescape(text: str) -> Path:
    """The path that `escape` wrote."""
    return Path(unescape_text(text))


def unescape_text(text: str) -> str:
    """The same as a text."""
    return _ESCAPE.sub(lambda match: _CHARACTERS.get(match[0], match[0]), text) if _CHARACTERS else text
