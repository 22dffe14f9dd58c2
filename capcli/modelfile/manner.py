"""How a model speaks, read from its file without torch: its words, its decoding options, its confidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError, UsageError
from capcli.modelfile.confidence import Calibration
from capcli.options import build
from capcli.words.vocabulary import Vocabulary

LARGEST_VOCABULARY = 1_000_000


@dataclass(frozen=True)
class Manner:
    """How a model speaks.

    Attributes:
        vocabulary: its words.
        options: the decoding options chosen for it on dev.
        calibration: of its confidence, or None where it was not calibrated.
    """

    vocabulary: Vocabulary
    options: DecodingOptions
    calibration: Calibration | None = None

    @classmethod
    def read(cls, described: Mapping[str, Any]) -> Manner:
        """From what a model file says of itself; raises as `describing` expects it."""
        words = described["vocabulary"]
        if len(words) > LARGEST_VOCABULARY or not all(isinstance(word, str) for word in words):
            raise ValueError("its vocabulary is no list of words")
        options = build(DecodingOptions, described["decoding"], "decoding")
        calibrated = described.get("calibration")  # older files have none
        return cls(Vocabulary(words), options, Calibration.from_json(calibrated) if calibrated else None)

    def check(self, longest: int, *, matches: bool) -> None:
        """Raises ValueError for options beyond a model that says `longest` words at most and may have a matcher."""
        if self.options.max_length > longest:
            raise ValueError(f"its decoder cannot say {self.options.max_length} words")
        if self.options.rerank and not matches:
            raise ValueError("it re-ranks captions and has no matcher to do so")
        if self.options.word_weight:
            raise ValueError("it weighs expected words, which lie beside a model")


@contextmanager
def describing(path: Path) -> Iterator[None]:
    """What is wrong with the description of a model file becomes a ModelError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, UsageError) as error:
        raise ModelError(f"{path}: its description cannot be used ({error})") from None
