"""From a model's tokens to a sentence and its words: pieces of words are put together again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capcli.hub.families import Family
from capcli.words.tokens import detokenize, spans

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


_APART = re.compile(r"(?<=\w) ('(?= (?:s|t|m|d|re|ve|ll)\b)|-(?= \w)) ")


@dataclass(frozen=True)
class Spelled:
    """A caption in words.

    Attributes:
        text: the sentence, one line.
        words: each word, as `capcli.words.tokens` has words, with the places of the tokens that it is of.
        cut: whether the tokens say more words than the caption may have.
    """

    text: str
    words: tuple[tuple[str, tuple[int, ...]], ...]
    cut: bool


def spell_out(tokenizer: Any, ids: Sequence[int], family: Family, most: int) -> Spelled:
    """The sentence that tokens say.

    Args:
        tokenizer: the model's.
        ids: T tokens; special ones say nothing.
        family: of the model; what its captions begin with in vain is taken off.
        most: how many words the caption may have; what follows is cut off.
    """
    decoded = decode(tokenizer, ids, family)
    start = _opening(decoded, family)
    found = [(word, begin + start, stop + start) for word, begin, stop in spans(decoded[start:])]
    cut, found = len(found) > most, found[:most]
    text = decoded[start : found[-1][2]] if cut else decoded[start:]
    text = " ".join(text.split())
    if family.sentences:
        text = text[:1].upper() + text[1:]
    places = _places(tokenizer, ids, decoded, family)
    specials = set(tokenizer.all_special_ids)
    words, first = [], 0
    for word, begin, stop in found:
        # A token with the end of one word and the beginning of another counts for the first.
        own = tuple(
            place
            for place in range(first, len(ids))
            if ids[place] not in specials and _belongs(places[place], begin, stop)
        )
        first = own[-1] + 1 if own else first
        words.append((word, own))
    return Spelled(text, tuple(words), cut)


def count_words(tokenizer: Any, ids: Sequence[int], family: Family) -> int:
    """How many words tokens say, as `spell_out` counts."""
    decoded = decode(tokenizer, ids, family)
    return len(spans(decoded[_opening(decoded, family) :]))


def decode(tokenizer: Any, ids: Sequence[int], family: Family) -> str:
    """The text of tokens, special ones left out, with a space for each character that only steers a terminal."""
    decoded = str(tokenizer.decode(list(ids), skip_special_tokens=True))
    if family.pieces:
        decoded = _APART.sub(r"\1", decoded)
    return _STEERING.sub(" ", decoded)


def compose(words: Sequence[str], family: Family) -> str:
    """Words as the family's own captions spell them."""
    sentence = detokenize(words)
    return sentence if family.sentences else sentence.lower().rstrip(".")


def _opening(decoded: str, family: Family) -> int:
    """Where the caption begins to say something of the picture."""
    start = len(decoded) - len(decoded.lstrip())
    for pattern in family.openings:
        found = re.compile(pattern, re.IGNORECASE).match(decoded, start)
        if found and spans(decoded[found.end() :]):
            start = found.end()
    return start


def _belongs(place: tuple[int, int], begin: int, stop: int) -> bool:
    """Whether a token is of a word; one that the text shows only with the next, as the sign of "'s", is of that."""
    return place[0] == place[1] == begin or (place[0] < stop and place[1] > begin)


def _places(tokenizer: Any, ids: Sequence[int], decoded: str, family: Family) -> list[tuple[int, int]]:
    """Start and stop of each token in the text.

    Tokens may be parts of letters, so no token has a text of its own; how far the text goes that ends with it, has.
    """
    stops: list[int] = []
    for count in range(1, len(ids) + 1):
        part = decode(tokenizer, ids[:count], family)
        same = len(part)
        while part[:same] != decoded[:same]:
            same -= 1
        stops.append(max(same, stops[-1] if stops else 0))
    return list(zip([0, *stops], stops, strict=False))
