"""Text in pictures: the font, what it can draw, and lines that fit."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from functools import cache
from typing import TYPE_CHECKING

from PIL import ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# In Unicode for good no character, so a font has only the box for it that stands for all it does not have.
_NO_CHARACTER = "\U0010fffe"

_MISSING = "\N{REPLACEMENT CHARACTER}"


@cache
def font(size: int) -> FreeTypeFont:
    """Pillow's own font, Aileron Regular, the same on every machine; `size` in pixels.

    It has ASCII and some typographic signs; see `drawable`.

    Raises:
        RuntimeError: for a Pillow built without FreeType, whose font has one size only and no fit to be read.
    """
    face = ImageFont.load_default(size)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow has no FreeType; install one that has: pip install --force-reinstall pillow")
    return face


def drawable(text: str) -> str:
    """Text as `font` can draw it, on one line.

    Letters lose the accents that the font lacks (é becomes e), ligatures and wide forms become plain letters; any
    other character that it lacks, such as those of other scripts, emoji and undecodable bytes, becomes U+FFFD, which
    is drawn as a box. Characters that are not seen are left out.
    """
    return "".join(map(_drawable, " ".join(text.split())))


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
def _drawable(character: str) -> str:
    if _covered(character):
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Mn", "Me"):
        return ""
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return plain if plain and all(map(_covered, plain)) else _MISSING


@cache
def _covered(character: str) -> bool:
    if character == " ":
        return True
    if unicodedata.category(character) in ("Cc", "Cs"):
        return False
    face = font(20)
    return bytes(face.getmask(character)) != bytes(face.getmask(_NO_CHARACTER))
