"""Marks such as `<start>` that a program left in captions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from capcli.words.counting import count_of

_SPECIAL = re.compile(
    r"<\|?/?\w+\|?>"  # <start>, </s>, <|endoftext|>
    r"|\[(?:start|end|bos|eos|sos|go|pad|unk|oov|cls|sep|mask)\]"
    r"|\b(?:startseq|endseq)\b",
    re.IGNORECASE,
)


def special_token(caption: str) -> str | None:
    """The first special token in a caption, if it holds any."""
    found = _SPECIAL.search(caption)
    return found[0] if found else None


def note_special_tokens(noun: str, captions: Iterable[tuple[str, str]]) -> list[str]:
    """What a reader of figures must know of special tokens, at most one line.

    Args:
        noun: what a caption is called.
        captions: the names of images, each with a caption.
    """
    found = [(name, token) for name, caption in captions if (token := special_token(caption))]
    if not found:
        return []
    name, token = found[0]
    how_many = count_of(len(found), noun, "holds", "hold")
    return [f"{how_many} special tokens that are scored as words, as in the COCO toolkit, first {token} of {name}"]
