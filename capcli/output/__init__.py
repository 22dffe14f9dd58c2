"""What other programs and people read: one module per format, all fed the same results."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capcli.arrays import Float32Array
    from capcli.pictures.facts import Facts

from capcli.keywords.keyword import Keyword


class State(Enum):
    """What a place that keeps results holds of a picture; WITHHELD is a caption that a person rejected or flagged."""

    CAPTIONED = "captioned"
    UNCERTAIN = "uncertain"
    WITHHELD = "withheld"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """What became of one picture: captions, or an error and nothing else.

    Attributes:
        path: the file as found.
        captions: the sentences, the best first.
        confidences: of each of them, in [0, 1].
        model: name of the model that wrote them.
        uncertain: whether the best one's confidence is below the least that was asked for.
        words: the words of the best one, where they were asked for: each with its log-probability and, 0 to 1, the
            share of its visual sentinel, None where the model has none.
        keywords: the likeliest first, possibly none; None where they were not asked for.
        error: why there is no caption, one clause.
        facts: of the picture, where a library is to remember them.
        vector: the matcher's, float32 E, where a library is to have it.
        model_sha256: of the model's file, in hexadecimal, where a library is to have it.
        status: what a person made of the caption, such as "accepted"; None where nobody has looked at it.
        version: of the row in a library, which rises when its caption or status changes.
        look: a perceptual hash of the pixels, 16 hexadecimal digits, where bursts are looked for.
        copied_from: the picture that the model captioned, where that is another one of the same burst.
    """

    path: Path
    captions: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()
    model: str | None = None
    uncertain: bool = False
    words: tuple[tuple[str, float, float | None], ...] | None = None
    keywords: tuple[Keyword, ...] | None = None
    error: str | None = None
    facts: Facts | None = field(default=None, repr=False, compare=False)
    vector: Float32Array | None = field(default=None, repr=False, compare=False)
    model_sha256: str | None = field(default=None, repr=False, compare=False)
    status: str | None = None
    version: int | None = field(default=None, repr=False, compare=False)
    look: str | None = field(default=None, repr=False, compare=False)
    copied_from: Path | None = None

    @property
    def state(self) -> State:
        """What a place that keeps the result then holds."""
        if self.error is not None:
            return State.FAILED
        return State.UNCERTAIN if self.uncertain else State.CAPTIONED

    def row(self) -> dict[str, object]:
        """The fields that every format names alike; those with nothing to say are left out."""
        if self.error is not None:
            return {"path": str(self.path), "error": self.error}
        row: dict[str, object] = {
            "path": str(self.path),
            "caption": self.captions[0],
            "captions": list(self.captions),
            "confidence": _rounded(self.confidences[0]),
            "model": self.model,
        }
        if len(self.captions) > 1:
            row["confidences"] = [_rounded(confidence) for confidence in self.confidences]
        if self.uncertain:
            row["uncertain"] = True
        if self.words is not None:
            row["words"] = [_word(*word) for word in self.words]
        if self.keywords is not None:
            row["keywords"] = [keyword.to_json() for keyword in self.keywords]
        if self.status is not None:
            row["status"] = self.status
        if self.copied_from is not None:
            row["copied_from"] = str(self.copied_from)
        return row


def _word(text: str, log_probability: float, sentinel: float | None = None) -> dict[str, object]:
    word: dict[str, object] = {"word": text, "log_probability": _rounded(log_probability)}
    return word if sentinel is None else word | {"sentinel": _rounded(sentinel)}


def _rounded(value: float) -> float:
    return round(value, 6)
