"""Which keywords are wanted: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.options import check, option

MOST = 50
"""Keywords of a picture."""


@dataclass(frozen=True)
class KeywordOptions:
    """How many keywords a picture gets, and from which words.

    Raises:
        UsageError: for a value of the wrong type or outside its range, and a vocabulary without keywords.
    """

    keywords: int = option(
        0, "Up to this many keywords for each picture, the likeliest first; 0 gives none.", least=0, most=MOST
    )
    vocabulary: Path | None = option(
        None,
        "Give only keywords from this list: a word a line, levels by indentation or a > b, synonyms after =.",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.vocabulary is not None and not self.keywords:
            raise UsageError("--vocabulary needs --keywords N, in Python keywords=N")
