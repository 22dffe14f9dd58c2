r"""Captions as lines of text: `path<TAB>caption`, or the sentence alone.

A path keeps its bytes, even those that are no text in any encoding. Only control characters and backslashes
in it are written as in Python (`\t`, `\n`, `\x1b`, `\\`), so that a row is always one line of two fields.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from capcli.output import Result

_CONTROL = (*range(0x20), *range(0x7F, 0xA0))
# Windows allows no control characters in names, and there the backslash parts folders.
_ESCAPES = {} if os.sep == "\\" else {code: repr(chr(code))[1:-1] for code in (*_CONTROL, ord("\\"))}


def escape(path: str | Path) -> str:
    """A path on one line, free of tabs and of anything that steers a terminal."""
    return str(path).translate(_ESCAPES)


class TextWriter:
    """Writes one line per caption; results that are errors leave no line.

    Args:
        stream: takes bytes, e.g. `sys.stdout.buffer`; flushed after every line.
        alone: leave out the path.
    """

    def __init__(self, stream: BinaryIO, *, alone: bool = False) -> None:
        self._stream = stream
        self._alone = alone

    def write(self, result: Result) -> None:
        if result.caption is None:
            return
        path = b"" if self._alone else os.fsencode(escape(result.path)) + b"\t"
        self._stream.write(path + " ".join(result.caption.split()).encode() + b"\n")
        self._stream.flush()
