"""A caption as people read it: its sentence with the words in it, and how likely each is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from capcli.words.tokens import spans

if TYPE_CHECKING:
    from capcli.caption import Caption, Word

UNKNOWN = "unknown"
"""What stands in place of the probability of a word that the model does not know."""

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def probability(word: Word) -> str:
    """A word's probability for people: "62 %"; "unknown" for a word that the model does not know."""
    if not word.known:
        return UNKNOWN
    percent = 100 * math.exp(word.log_probability)
    return "<1 %" if percent < 0.5 else f"{percent:.0f} %"


def strongest(word: Word) -> str:
    """Where the heatmap is strongest, in words: "upper left", "everywhere alike"; raises UsageError without one."""
    side = 3 * 16
    heat = word.heatmap((side, side))
    if heat.min() > 0.99:
        return "everywhere alike"
    row, column = (3 * place // side for place in divmod(int(heat.argmax()), side))
    place = (_ROWS[row], _COLUMNS[column])
    return "centre" if place == ("middle", "centre") else " ".join(place)


def parts(caption: Caption) -> Iterator[tuple[str, int | None]]:
    """The sentence as it is spelt, cut into its words, each with its place in `caption.words`, and what is between.

    `caption.words` may be only some of the sentence's words, in its order. Where they are not in it at all, the
    sentence is they, with spaces between.
    """
    words = [word.text for word in caption.words]
    found: list[tuple[int, int]] = []
    for token, start, stop in spans(caption.text):
        if len(found) < len(words) and token == words[len(found)]:
            found.append((start, stop))
    if len(found) < len(words):
        for place, word in enumerate(words):
            yield word, place
            yield " ", None
        return
    end = 0
    for place, (start, stop) in enumerate(found):
        yield caption.text[end:start], None
        yield caption.text[start:stop], place
        end = stop
    yield caption.text[end:], None
