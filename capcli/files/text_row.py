"""A row of text: `path<TAB>caption`, with further captions after further tabs, and keywords after the last one."""

from __future__ import annotations

from typing import NamedTuple

from capcli.files.names import unescape_text

UNCERTAIN = "[uncertain] "
"""Stands before a caption whose confidence is below the least that was asked for."""

KEYWORDS = "[keywords] "
"""Stands before keywords, which are separated by commas."""


class TextRow(NamedTuple):
    """What a row says: the picture, its captions, the best first, whether that one is uncertain, and keywords."""

    path: str
    captions: tuple[str, ...]
    uncertain: bool
    keywords: tuple[str, ...] = ()


def read_text_row(line: str) -> TextRow:
    """The row in a line without its line break; raises ValueError if it has no path or no tab."""
    name, tab, sentences = line.partition("\t")
    if not (name and tab):
        raise ValueError("not of the form path<TAB>caption")
    captions = sentences.removeprefix(UNCERTAIN).split("\t")
    behind = captions.pop().removeprefix(KEYWORDS) if len(captions) > 1 and captions[-1].startswith(KEYWORDS) else ""
    keywords = tuple(word for part in behind.split(",") if (word := part.strip()))
    return TextRow(unescape_text(name), tuple(captions), sentences.startswith(UNCERTAIN), keywords)
