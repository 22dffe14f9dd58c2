"""A caption word by word: the heatmap of each over the picture, the sentence below with the word set off."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import ExifTags, Image, ImageDraw

from capcli.errors import UsageError
from capcli.heatmap.mark import MARK
from capcli.heatmap.overlay import overlay
from capcli.heatmap.sentence import parts, probability
from capcli.heatmap.text import drawable, font, wrap

if TYPE_CHECKING:
    from capcli.caption import Caption

KINDS = ("gif", "webp")

LONGEST = 640
"""The picture's longer side at most, in pixels."""

DURATION = 900
"""How long each word is shown, in milliseconds."""

# Enough for the sentence to be read below the smallest picture and the narrowest.
_LEAST = 320
_MARGIN = 16
_SENTENCE = 24
_LABEL = 18
_MOST_LINES = 60
_INK, _QUIET, _PAPER, _ACCENT = "#1c2126", "#57606a", "#ffffff", "#0b62b8"

# Of the 256 colours of a GIF those that the text below the picture has for itself.
_TEXT_COLOURS = 24


def animation(picture: Image.Image, caption: Caption, kind: Literal["gif", "webp"]) -> bytes:
    """Draws the picture as it is, then under the heatmap of each word in turn; repeats for ever.

    Below it stands the sentence, the current word set off, and that word with its probability. The picture is at most
    640 pixels a side and at least 320 the longer one. A GIF's frames have 256 colours each.

    Args:
        picture: upright, RGB.
        caption: words with attention.
        kind: `gif` or `webp`.

    Returns:
        The file's content.

    Raises:
        UsageError: for another kind, or words without attention.
    """
    if kind not in KINDS:
        raise UsageError(f"an animation is {' or '.join(KINDS)}, not {kind!r}")
    longest = max(picture.size)
    scale = min(max(longest, _LEAST), LONGEST) / longest
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    strip = _Strip(caption, max(size[0], _LEAST))
    shown = [small, *(overlay(small, word.heatmap(size)) for word in caption.words)]
    texts = [strip.draw(place) for place in (None, *range(len(caption.words)))]
    join = _palette_frame if kind == "gif" else _frame
    first, *others = (join(*both) for both in zip(shown, texts, strict=True))
    file = io.BytesIO()
    frames: dict[str, object] = {"save_all": True, "append_images": others, "duration": DURATION, "loop": 0}
    if kind == "gif":
        first.save(file, "GIF", **frames, disposal=1, comment=MARK)
    else:
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = MARK
        first.save(file, "WEBP", **frames, quality=80, method=4, exif=exif)
    return file.getvalue()


@dataclass(frozen=True)
class _Mark:
    """Characters `start` to before `stop` of a line."""

    line: int
    start: int
    stop: int


class _Strip:
    """The text below the picture, of one height for all words."""

    def __init__(self, caption: Caption, width: int) -> None:
        self._width = width
        self._words = [f"{drawable(word.text)}  {probability(word)}" for word in caption.words]
        pieces = list(parts(caption))
        room = width - 2 * _MARGIN
        self._lines = wrap(drawable("".join(text for text, _ in pieces)), font(_SENTENCE), room, _MOST_LINES)
        self._marks = _marks(pieces, self._lines)
        self._labels = [wrap(word, font(_LABEL), room, 2) for word in self._words]
        below = max((len(lines) for lines in self._labels), default=0)
        self._start = _MARGIN + len(self._lines) * _height(_SENTENCE) + _MARGIN // 2
        self._size = width, self._start + below * _height(_LABEL) + _MARGIN

    def draw(self, place: int | None) -> Image.Image:
        """The strip while the word at `place` is shown, or none."""
        strip = Image.new("RGB", self._size, _PAPER)
        pen = ImageDraw.Draw(strip)
        face, height = font(_SENTENCE), _height(_SENTENCE)
        for number, line in enumerate(self._lines):
            pen.text((_MARGIN, _MARGIN + number * height), line, _INK, face)
        for mark in self._marks.get(place, ()):
            line, top = self._lines[mark.line], _MARGIN + mark.line * height
            # Kerning may differ at the ends of the word, but by less than a pixel.
            left = _MARGIN + face.getlength(line[: mark.start])
            right = _MARGIN + face.getlength(line[: mark.stop])
            pen.rounded_rectangle((left - 2, top, right + 1, top + height - 2), 3, _ACCENT)
            pen.text((left, top), line[mark.start : mark.stop], _PAPER, face)
        if place is not None:
            for number, line in enumerate(self._labels[place]):
                pen.text((_MARGIN, self._start + number * _height(_LABEL)), line, _QUIET, font(_LABEL))
        return strip


def _marks(pieces: Sequence[tuple[str, int | None]], lines: Sequence[str]) -> dict[int | None, list[_Mark]]:
    """Where the words are in the lines that the sentence was broken into, by their places in the caption."""
    # Breaking lines moves and drops spaces alone, so the other characters can be counted.
    positions = [
        (number, place) for number, line in enumerate(lines) for place, letter in enumerate(line) if letter != " "
    ]
    whole = "".join(_solid(text) for text, _ in pieces) == _solid("".join(lines))
    if not whole:  # the ellipsis and what follows it are no longer countable
        positions = [(number, place) for number, place in positions if number < len(lines) - 1]
    marks: dict[int | None, list[_Mark]] = {}
    count = 0
    for text, place in pieces:
        length = len(_solid(text))
        if place is not None:
            on_line: dict[int, list[int]] = {}
            for number, column in positions[count : count + length]:
                on_line.setdefault(number, []).append(column)
            marks[place] = [_Mark(number, columns[0], columns[-1] + 1) for number, columns in on_line.items()]
        count += length
    return marks


def _solid(text: str) -> str:
    return drawable(text).replace(" ", "")


def _frame(picture: Image.Image, strip: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (strip.width, picture.height + strip.height), _PAPER)
    frame.paste(picture, ((strip.width - picture.width) // 2, 0))
    frame.paste(strip, (0, picture.height))
    return frame


def _palette_frame(picture: Image.Image, strip: Image.Image) -> Image.Image:
    """A frame with 256 colours of its own, those of the text apart, lest it is dithered."""
    # An octree, because a median cut has no colours to spare for a small hot spot. Pillow dithers only where a palette
    # is given, and without dithering skies and heatmaps have bands.
    colours = picture.quantize(256 - _TEXT_COLOURS, Image.Quantize.FASTOCTREE)
    above = picture.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
    below = strip.quantize(_TEXT_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    shift = 256 - _TEXT_COLOURS
    palette = (above.getpalette() or [])[: 3 * shift]
    palette += [0] * (3 * shift - len(palette)) + (below.getpalette() or [])[: 3 * _TEXT_COLOURS]
    below = below.point([min(shift + index, 255) for index in range(256)])
    frame = Image.new("P", (strip.width, picture.height + strip.height), below.getpixel((0, 0)))
    frame.putpalette(palette)
    frame.paste(above, ((strip.width - picture.width) // 2, 0))
    frame.paste(below, (0, picture.height))
    return frame


def _height(size: int) -> int:
    return math.ceil(sum(font(size).getmetrics()) * 1.1)
