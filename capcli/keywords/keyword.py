"""The keywords of a picture, and which of them are the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Keyword:
    """A word for what a picture shows.

    Attributes:
        word: as the user's vocabulary spells it; without one a noun in lower case and the singular.
        probability: that one of five people who describe the picture says it, 0 to 1.
        path: the levels of the vocabulary down to the word, which is the last one.
        parents: those of the levels above that are keywords of the picture, too: all but [categories].
    """

    word: str
    probability: float
    path: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fields as plain values; `path` and `parents` are there where there are levels above the word."""
        values: dict[str, object] = {"word": self.word, "probability": round(self.probability, 4)}
        if len(self.path) > 1:
            values["path"] = list(self.path)
        if self.parents:
            values["parents"] = list(self.parents)
        return values


def list_words(keywords: Sequence[Keyword]) -> list[str]:
    """The words of keywords, those of the levels above among them."""
    return [word for keyword in keywords for word in (*keyword.parents, keyword.word)]


def list_levels(keywords: Sequence[Keyword]) -> list[str]:
    """The keywords that have levels, such as `animals|dog`."""
    return ["|".join(keyword.path) for keyword in keywords if len(keyword.path) > 1]


def lacking(held: Iterable[str], words: Iterable[str]) -> list[str]:
    """The words that are not among those held, each once, as it is spelt first; see `fold`."""
    there = set(map(fold, held))
    found: dict[str, str] = {}
    for word in words:
        if (key := fold(word)) not in there:
            found.setdefault(key, word)
    return list(found.values())


def fold(word: str) -> str:
    """What words have in common that are one keyword: case, spaces and how letters with marks are coded differ."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold()).split())
