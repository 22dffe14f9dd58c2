"""What other programs and people read: one writer per format, all fed the same results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Result:
    """What became of one picture: a caption, or an error and nothing else.

    Attributes:
        path: the file as found.
        caption: the sentence.
        confidence: of the caption, in [0, 1].
        model: name of the model that wrote it.
        error: why there is no caption, one clause.
    """

    path: Path
    caption: str | None = None
    confidence: float | None = None
    model: str | None = None
    error: str | None = None


class Writer(Protocol):
    """Takes results one by one; each is out of the process when `write` returns."""

    def write(self, result: Result) -> None: ...
