r"""Captions as lines of text: `path<TAB>caption`, or the sentence alone.

A path keeps its bytes, even those that are no text in any encoding. Only control characters and backslashes
in it are written as in Python (`\t`, `\n`, `\x1b`, `\\`), so that a row is always one line.
"""

from __future__ import annotations

import os

from capcli.files.names import escape
from capcli.files.text_row import KEYWORDS, UNCERTAIN, read_text_row
from capcli.output import Result, State
from capcli.output.formats.contract import Ending, Format


class Text(Format):
    """`path<TAB>caption`, with further captions after further tabs, then keywords; errors leave no line."""

    def encode(self, result: Result) -> bytes | None:
        if not result.captions:
            return None
        return os.fsencode(escape(result.path)) + b"\t" + _encoded("\t".join(_fields(result))) + b"\n"

    def read(self, row: bytes) -> tuple[str, State]:
        read = read_text_row(os.fsdecode(row.rstrip(b"\r\n")))
        if not read.captions[0]:
            raise ValueError("a row has a caption")
        return read.path, State.UNCERTAIN if read.uncertain else State.CAPTIONED

    def judge(self, row: bytes, *, first: bool) -> Ending | None:
        ending = super().judge(row, first=first)
        # Of half of the first row of a text nothing tells that it is one.
        return None if first and ending is Ending.TORN else ending


class Sentences(Format):
    """The captions of a picture, each on a line, without its path; then a line of keywords."""

    def encode(self, result: Result) -> bytes | None:
        return _encoded("".join(f"{sentence}\n" for sentence in _fields(result))) or None


def _encoded(text: str) -> bytes:
    # A model's words may be anything, half a character too.
    return text.encode(errors="replace")


def _fields(result: Result) -> list[str]:
    mark = UNCERTAIN if result.uncertain else ""
    said = [(mark if place == 0 else "") + " ".join(caption.split()) for place, caption in enumerate(result.captions)]
    return said + ([KEYWORDS + ", ".join(keyword.word for keyword in result.keywords)] if result.keywords else [])
