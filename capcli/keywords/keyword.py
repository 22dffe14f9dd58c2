"""One keyword of a picture."""

from __future__ import annotations

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
        """The fields as plain values; `path` is there where the vocabulary has levels above the word."""
        values: dict[str, object] = {"word": self.word, "probability": round(self.probability, 4)}
        return values | {"path": list(self.path)} if len(self.path) > 1 else values
