"""How captions are chosen: one definition for the command line, the API and recipes."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from capcli.errors import UsageError
from capcli.options import option, spell

SAMPLING = ("temperature", "top_p", "top_k")
"""Options that mean nothing to a search."""

OF_THE_MODEL = "the model's own"
"""What the help says of the defaults that every model brings, chosen on its dev pictures."""

OF_LANGUAGE_MODELS = ("lm_weight", "lm_rescore")
"""Options that mean nothing without a language model."""

MOST_WORDS = 40
"""The longest caption that any model can be asked for."""


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """Options of beam search and sampling; each field's metadata holds its help text ("help") and the ends of its
    range ("min" and "max"; None where it has no such end).

    Raises:
        UsageError: for a value of the wrong type or outside its range, and for options that contradict each other.
    """

    num_captions: int = option(1, "Different captions for each picture, best first.", least=1, most=32)
    beam_size: int = option(
        3, "Captions kept in view while searching; 1 is greedy, more is slower.", least=1, most=32, shown=OF_THE_MODEL
    )
    length_penalty: float = option(
        1.0,
        "A caption's log-probability is divided by its length to this power; more favours long ones.",
        least=0.0,
        most=4.0,
        shown=OF_THE_MODEL,
    )
    min_length: int = option(0, "Shortest caption, in words.", least=0, most=MOST_WORDS)
    max_length: int = option(20, "Longest caption, in words.", least=1, most=MOST_WORDS, shown=OF_THE_MODEL)
    no_repeat_ngram: int = option(
        3,
        "Say no run of this many words twice, and no word twice in a row; 0 allows both.",
        least=0,
        most=10,
        shown=OF_THE_MODEL,
    )
    rerank: float = option(
        0.0,
        "How much a caption's likeness to the picture, -1 to 1, counts beside its score; for models with a matcher.",
        least=0.0,
        most=100.0,
        shown=OF_THE_MODEL,
    )
    lm_weight: float = option(
        0.0,
        "With --lm: weight of its log-probabilities beside the model's, word by word (shallow fusion).",
        least=0.0,
        most=100.0,
    )
    lm_rescore: float = option(
        0.0,
        "With --lm: weight of its log-probability of captions that a search found; below 0 favours the unusual.",
        least=-100.0,
        most=100.0,
        shown="-0.4 with --lm",
    )
    prefix: str = option("", "Begin every caption with these words.")
    sample: bool = option(False, "Draw captions at random instead of searching for the likeliest.")
    temperature: float = option(
        1.0, "With --sample: below 1 keeps to likely words, above 1 dares unlikely ones.", least=0.05, most=10.0
    )
    top_p: float = option(
        1.0, "With --sample: draw from the likeliest words that hold this share, above 0.", least=0.0, most=1.0
    )
    top_k: int = option(0, "With --sample: draw from this many likeliest words; 0 draws from all.", least=0)
    seed: int = option(0, "With --sample: another seed draws other captions.", least=0)
    min_confidence: float = option(0.0, "Mark captions of a confidence below this.", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, wanted = getattr(self, field.name), _wanted(field)
            if not _fits(value, field):
                raise UsageError(f"{spell(field.name)} must be {wanted}, not {value!r}")
        if self.min_length > self.max_length:
            raise UsageError(f"min-length {self.min_length} is above max-length {self.max_length}; change one of them")
        # One line is one caption in much that reads them.
        if self.prefix.splitlines() not in ([], [self.prefix]):
            raise UsageError("prefix must be one line")
        for field in dataclasses.fields(self):
            if field.name in SAMPLING and not self.sample and getattr(self, field.name) != field.default:
                raise UsageError(f"{spell(field.name)} needs sampling: add --sample, in Python sample=True")
            if field.name in OF_LANGUAGE_MODELS and self.sample and getattr(self, field.name):
                raise UsageError("a language model leads a search and no sampling; leave sample or the model out")

    def replace(self, **changes: Any) -> DecodingOptions:
        """A copy with other values.

        Raises:
            UsageError: for an unknown name, near ones listed, and as for a new object.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, 3) or known
                raise UsageError(f"no decoding option is named {name!r}; near it: {', '.join(near)}")
        return dataclasses.replace(self, **changes)


def _fits(value: Any, field: dataclasses.Field[Any]) -> bool:
    if isinstance(field.default, (bool, str)):
        return isinstance(value, type(field.default))
    # True is a whole number to Python, but nobody means a beam of True.
    if isinstance(value, bool) or not isinstance(value, Integral if isinstance(field.default, int) else Real):
        return False
    least, most = field.metadata["min"], field.metadata["max"]
    above = value > least if field.name == "top_p" else value >= least
    return above and (most is None or value <= most)


def _wanted(field: dataclasses.Field[Any]) -> str:
    if isinstance(field.default, bool):
        return "true or false"
    if isinstance(field.default, str):
        return "text"
    least, most = field.metadata["min"], field.metadata["max"]
    if field.name == "top_p":
        return f"above {least} and at most {most}"
    return f"{least} or more" if most is None else f"{least} to {most}"
