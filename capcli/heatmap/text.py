"""Text in pictures: the font, what it can draw, and lines that fit."""

from __future__ import annotations

import io
import unicodedata
from bisect import bisect_left, bisect_right
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from PIL import ImageFont

from capcli.errors import CapcliError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# In Unicode for good no character, so a font has only the box for it that stands for all it does not have.
_NO_CHARACTER = "\U0010fffe"

BOX = "\N{REPLACEMENT CHARACTER}"
"""Stands in pictures for every letter that the font lacks."""

_VARIATIONS = range(0xFE00, 0xFE10)


@cache
def font(size: int) -> FreeTypeFont:
    """DejaVu Sans Condensed, which comes with capcli, so that it is the same on every machine; `size` in pixels.

    It has Latin, Greek, Cyrillic, Armenian and Georgian letters and many signs; see `drawable`.

    Raises:
        CapcliError: for a Pillow built without FreeType, which draws no such font.
    """
    try:
        # The other layout engine is not everywhere, and its lines have other widths.
        return ImageFont.truetype(io.BytesIO(_font_file()), size, layout_engine=ImageFont.Layout.BASIC)
    except ImportError:
        raise CapcliError(
            "this Pillow has no FreeType to write with; install one that has: pip install --force-reinstall pillow"
        ) from None


@cache
def _font_file() -> bytes:
    return (files("capcli.heatmap") / "font" / "DejaVuSansCondensed.ttf").read_bytes()


def drawable(text: str) -> str:
    """Text as `font` can draw it, on one line: a `BOX` for every letter that it lacks, and no other spelling.

    Accents are put together with their letters where Unicode has both as one character. What is not seen, such as
    control characters, is left out.
    """
    return "".join(letter if _covered(letter) else BOX for letter in _letters(text))


def missing(text: str) -> list[str]:
    """The letters of a text that `font` lacks, each once, in their order."""
    return list(dict.fromkeys(letter for letter in _letters(text) if not _covered(letter)))


def _letters(text: str) -> str:
    one_line = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(letter for letter in one_line if _is_seen(letter))


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cf") and ord(letter) not in _VARIATIONS


def wrap(text: str, face: FreeTypeFont, width: float, most: int) -> list[str]:
    """Lines that are at most `width` pixels wide, though never less than a character.

    They break at spaces, and within words that are wider than a line. Of a text of more than `most` lines the middle
    is left out, which an ellipsis says.

    Args:
        text: as `drawable` gives it.
        face: the font.
        width: in pixels.
        most: the largest number of lines.
    """
    # No character is narrower than a pixel; measuring no more than these keeps endless words cheap.
    reach = int(width) + 1

    def fits(part: str) -> bool:
        return len(part) <= reach and face.getlength(part) <= width

    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if fits(joined):
            line = joined
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and len(lines) <= most and not fits(word):
            stops = range(1, min(len(word) - 1, reach) + 1)
            stop = max(1, bisect_right(stops, width, key=lambda stop: face.getlength(word[:stop])))
            lines.append(word[:stop])
            word = word[stop:]
        line = word
        if len(lines) > most:
            break
    if line:
        lines.append(line)
    if len(lines) <= most:
        return lines
    end = text[-reach:]
    start = bisect_left(range(len(end) - 1), -width, key=lambda start: -face.getlength("…" + end[start:]))
    return [*lines[: most - 1], "…" + end[start:].lstrip()]


@cache
def _covered(letter: str) -> bool:
    if letter == " ":
        return True
    if unicodedata.category(letter) == "Cs":
        return False
    face = font(20)
    return bytes(face.getmask(letter)) != bytes(face.getmask(_NO_CHARACTER))
