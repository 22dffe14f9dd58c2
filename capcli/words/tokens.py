"""Captions to the words of a model's vocabulary and back, by the Penn Treebank's conventions.

The tokens of the COCO toolkit, on which caption metrics are defined, are those of `capcli.metrics.ptb`. These here are
near them: of the 40,455 captions of Flickr8k three differ. Models use them, because `detokenize` can undo them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_CLITICS = ("n't", "'s", "'m", "'d", "'re", "'ve", "'ll")
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SPELLINGS = {"i": "I"} | {token: bracket for bracket, token in _BRACKETS.items()}
_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026", "''\"\"   ")

# The toolkit deletes quotation marks, hyphens that stand alone and . ? ! , : ; after tokenizing. Here nothing
# matches them, which comes to the same. Brackets stay: its list of deletions has them in capitals, while its
# tokens are lower-cased.
_TOKEN = re.compile(
    r"""
    \b(?:[a-z]\.){2,}(?:[a-z]\b)?                                      # u.s.  p.m.
    | \b(?:mrs?|ms|dr|st|jr|sr|ave|rd|blvd|vs|etc)\.(?!\w)
    | \b(?:can(?=not\b)|(?:gon|wan)(?=na\b)|got(?=ta\b)|(?:lem|gim)(?=me\b))
    | n't\b | '(?:s|m|d|re|ve|ll)\b | 'n'(?!\w)
    | \d+(?:[.,:/]\d+)+                                                # 3,000  12:43  1/2
    | (?:(?!n't\b)\w)+ (?:(?!'(?:s|m|d|re|ve|ll)\b) [-'./] (?:(?!n't\b)\w)+)*  # t-shirt  o'clock  and/or
    | [^\s\w'"`.?!,:;-]
    """,
    re.VERBOSE,
)


def tokenize(caption: str) -> list[str]:
    """Lower-cased tokens without punctuation: "The man's dog doesn't." gives the, man, 's, dog, does, n't."""
    tokens = _TOKEN.findall(_plain(caption))
    return [_BRACKETS.get(token, token) for token in tokens]


def spans(caption: str) -> list[tuple[str, int, int]]:
    """The tokens that `tokenize` gives, each with the start and stop of the letters it was made of.

    They do not overlap: where a letter becomes two tokens, as the Turkish capital İ does, the second has no letters.
    """
    # A capital may be two characters in lower case.
    origin = [place for place, letter in enumerate(caption) for _ in letter.lower()]
    found: list[tuple[str, int, int]] = []
    stop = 0
    for match in _TOKEN.finditer(_plain(caption)):
        start, stop = max(stop, origin[match.start()]), origin[match.end() - 1] + 1
        found.append((_BRACKETS.get(match[0], match[0]), start, stop))
    return found


def _plain(caption: str) -> str:
    return caption.lower().translate(_TYPOGRAPHY)


def detokenize(tokens: Sequence[str]) -> str:
    """A sentence to read: clitics attached, brackets restored, a capital first letter and a final full stop.

    `tokenize` gives the same tokens back. No tokens give an empty string.
    """
    words: list[str] = []
    previous = ""
    for token in tokens:
        word = _SPELLINGS.get(token, token)
        if words and (_attaches(token, previous) or words[-1].endswith(("(", "[", "{")) or word in (")", "]", "}")):
            words[-1] += word
        else:
            words.append(word)
        previous = token
    if not words:
        return ""
    last = words[-1].lower()
    # "st" with a full stop would read as the abbreviation, which is another token.
    if not last.endswith(".") and tokenize(f"{last}.") == tokenize(last):
        words.append(f"{words.pop()}.")
    sentence = " ".join(words)
    return sentence[0].upper() + sentence[1:]


def _attaches(token: str, previous: str) -> bool:
    """Whether `token` is a clitic of the token before it."""
    if token not in _CLITICS or previous in _CLITICS:
        return False
    return previous.isalpha() if token == "n't" else previous[-1:].isalnum() or previous.endswith(".")
