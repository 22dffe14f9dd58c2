"""Numbers in sentences: the words around one thing are not those around several."""

from __future__ import annotations


def count_of(number: int, noun: str, singular: str = "", plural: str = "") -> str:
    """A number, its noun and the verb that agrees with them: "1 caption is", "1,200 captions are"."""
    verb = agree(number, singular, plural)
    return f"{number:,} {noun}{'' if number == 1 else 's'}{' ' if verb else ''}{verb}"


def agree(number: int, singular: str, plural: str) -> str:
    """The word for so many."""
    return singular if number == 1 else plural
