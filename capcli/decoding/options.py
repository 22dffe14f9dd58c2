"""How captions are searched for: one definition for the command line, the API and recipes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from capcli.errors import UsageError


def _option(default: Any, text: str, least: float, most: float) -> Any:
    return field(default=default, metadata={"help": text, "min": least, "max": most})


@dataclass(frozen=True)
class DecodingOptions:
    """Options of beam search; each field's metadata holds its help text and its range.

    Raises:
        UsageError: for a value of the wrong type or outside its range.
    """

    beam_size: int = _option(3, "Captions kept in view while searching; 1 is greedy, more is slower.", 1, 32)
    max_length: int = _option(20, "Longest caption, in words.", 1, 40)
    length_penalty: float = _option(
        1.0,
        "A caption's log-probability is divided by its length to this power; more favours long ones.",
        0.0,
        4.0,
    )
    no_repeat_ngram: int = _option(0, "Say no run of this many words twice; 0 allows it.", 0, 10)

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            value, least, most = getattr(self, option.name), option.metadata["min"], option.metadata["max"]
            kind = Integral if isinstance(option.default, int) else Real
            if not isinstance(value, kind) or not least <= value <= most:
                raise UsageError(f"{option.name.replace('_', '-')} must be {least} to {most}, not {value!r}")
