"""A user's own keywords: a text with a word a line, in levels, as Lightroom and other photo programs export them.

    animals
        dog = puppy, hound
        bird > seagull
    [places]
        beach
            {seaside}

A line is below the nearest one above it that is less indented; `a > b` and `a | b` are levels on one line. Synonyms
follow `=`, or stand in braces, on the line or on lines of their own below the word. A word in brackets only orders
those below it (Adobe, Lightroom Classic, "Import and export keywords": tabs for levels, braces for synonyms, brackets
for words that are not exported).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capcli.datasets.dataset import read_text
from capcli.errors import DatasetError, UsageError

MOST_WORDS = 100_000
"""No list of keywords that people keep is longer."""

_SYNONYM = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Entry:
    """A word of the user's.

    Attributes:
        name: as it is spelt in the file.
        path: the levels down to it; the last one is its name.
        parents: those of the levels above it that may be keywords, too.
        synonyms: other words for it.
        line: where it stands, from 1.
        given: whether it may be a keyword; a [category] may not.
    """

    name: str
    path: tuple[str, ...]
    parents: tuple[str, ...]
    synonyms: tuple[str, ...]
    line: int
    given: bool


@dataclass(frozen=True)
class Tree:
    """What a vocabulary file holds.

    Attributes:
        file: the file.
        entries: the words that may be keywords, in the order of the file.
        notes: what is wrong with lines that were left out, a line each.
    """

    file: Path
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]

    def note(self, entry: Entry, fault: str) -> str:
        """What is said of a line that is left out."""
        return _note(self.file, entry, fault)


def read_tree(file: Path) -> Tree:
    """Reads a vocabulary file in UTF-8.

    A line whose word lies below itself is left out, and so is a word that a line above has already; notes say so.

    Raises:
        UsageError: if it cannot be read, is no UTF-8, holds no word, or too many.
    """
    try:
        text = read_text(file)
    except DatasetError as error:
        raise UsageError(str(error)) from None
    entries: list[Entry] = []
    notes: list[str] = []
    lines: dict[str, int] = {}
    above: dict[str, set[str]] = {}
    for entry in _entries(text):
        fault = _fault(entry, lines, above)
        if fault:
            notes.append(_note(file, entry, fault))
            continue
        *ancestors, name = map(str.casefold, entry.path)
        above.setdefault(name, set()).update(ancestors, *(above.get(ancestor, ()) for ancestor in ancestors))
        if entry.given:
            entries.append(entry)
            lines |= dict.fromkeys(map(str.casefold, (entry.name, *entry.synonyms)), entry.line)
    if not entries:
        raise UsageError(f"{file}: holds no keyword; write a word on each line")
    if len(entries) > MOST_WORDS:
        raise UsageError(f"{file}: holds {len(entries):,} words, and {MOST_WORDS:,} are the most; shorten it")
    return Tree(file, tuple(entries), tuple(notes))


def _note(file: Path, entry: Entry, fault: str) -> str:
    return f"{file}, line {entry.line}: {fault}; the line is left out"


def _fault(entry: Entry, lines: Mapping[str, int], above: Mapping[str, set[str]]) -> str | None:
    """Why a line cannot be taken; None if it can.

    Args:
        entry: its word.
        lines: of the words and synonyms so far.
        above: what lies above each word so far.
    """
    *ancestors, name = map(str.casefold, entry.path)
    if any(name == ancestor or name in above.get(ancestor, ()) for ancestor in ancestors):
        return f"{' > '.join(entry.path)} lies below itself"
    twice = next((word for word in (entry.name, *entry.synonyms) if word.casefold() in lines), None)
    if twice is not None and entry.given:
        return f"{twice!r} is in line {lines[twice.casefold()]} already"
    return None


def _entries(text: str) -> list[Entry]:
    """The words of a text, each with all its synonyms; those of [categories] and those at fault too."""
    found: list[Entry] = []
    levels: list[tuple[int, Entry]] = []  # the lines, with their indentation, that the next one may lie below
    for number, line in enumerate(text.splitlines(), 1):
        content, spaced = line.strip(), line.expandtabs(8)
        if found and _SYNONYM.fullmatch(content):
            synonyms = (*found[-1].synonyms, *_split(content[1:-1], ","))
            found[-1] = dataclasses.replace(found[-1], synonyms=synonyms)
            continue
        indent = len(spaced) - len(spaced.lstrip())
        while content and levels and levels[-1][0] >= indent:
            levels.pop()
        entry = _read_line(content, number, levels[-1][1] if levels else None)
        if entry is not None:
            found.append(entry)
            levels.append((indent, entry))
    return found


def _read_line(content: str, number: int, above: Entry | None) -> Entry | None:
    """The word of a line, with the synonyms on it; None where there is none."""
    named, _, listed = _SYNONYM.sub("", content).partition("=")
    synonyms = [synonym for part in (listed, *_SYNONYM.findall(content)) for synonym in _split(part, ",")]
    path, parents, given = ((), (), False) if above is None else (above.path, above.parents, above.given)
    levels = _split(named.replace("|", ">"), ">")
    for level in levels:
        if path and given:
            parents = (*parents, path[-1])
        name = " ".join(level.strip("[]").split())
        path, given = (*path, name), bool(name) and not level.startswith("[")
    if not levels or not path[-1]:
        return None
    return Entry(path[-1], path, parents, tuple(synonyms), number, given)


def _split(text: str, separator: str) -> list[str]:
    return [part for part in (" ".join(piece.split()) for piece in text.split(separator)) if part]
