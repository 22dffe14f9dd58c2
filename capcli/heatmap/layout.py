"""Where everything is in a grid of heatmaps: boxes and lines of text, before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from capcli.errors import UsageError
from capcli.heatmap.sentence import UNKNOWN
from capcli.heatmap.text import drawable, font, wrap

NARROWEST = 320
"""The least width of a grid in pixels."""

LEGEND = "Where each word comes from, each on its own scale. Percentages: how likely it was after the words before it."

LEGEND_UNKNOWN = "Unknown: the model does not have the word, and shows where it looked instead."

_TITLE_LINES = 6
# Sixty letters, whichever, in the narrowest panel.
_WORD_LINES = 10
_LEGEND_LINES = 9

# What a grid is like when it fits a slide beside some text: its height by its width.
_SLIDE = 0.6


class Box(NamedTuple):
    """Pixels from `left` and `top` to before `right` and `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


@dataclass(frozen=True)
class Line:
    """A line of text.

    Attributes:
        text: of characters that the font has.
        left: where it begins.
        top: of the font's ascent.
        size: of the font in pixels.
        quiet: whether it is less important than what stands beside it.
    """

    text: str
    left: int
    top: int
    size: int
    quiet: bool = False

    @property
    def box(self) -> Box:
        """What the line covers, ascent and descent included."""
        width = math.ceil(font(self.size).getlength(self.text))
        return Box(self.left, self.top, self.left + width, self.top + _height(self.size))


@dataclass(frozen=True)
class Panel:
    """A picture and what stands below it."""

    picture: Box
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Layout:
    """A whole grid.

    Attributes:
        size: width and height in pixels.
        title: the lines of the caption.
        panels: first that of the picture alone, then one for each word; all pictures are of one size.
        scale: where the colours are, from weak to strong.
        legend: what stands beside them.
    """

    size: tuple[int, int]
    title: tuple[Line, ...]
    panels: tuple[Panel, ...]
    scale: Box
    legend: tuple[Line, ...]


def layout(size: tuple[int, int], title: str, labels: Sequence[tuple[str, str]], width: int = 1200) -> Layout:
    """Finds a place for everything.

    The number of columns is the one whose grid is closest to 10:6 and leaves few cells empty. Words that are too long
    for a line go on below it; of those too long for ten lines the middle is left out.

    Args:
        size: width and height of the picture.
        title: the caption.
        labels: each word with its probability, as they are to be shown.
        width: of the grid in pixels; the height follows from what is in it.

    Raises:
        UsageError: for a width below NARROWEST.
    """
    if width < NARROWEST:
        raise UsageError(f"a grid is at least {NARROWEST} pixels wide, not {width}")
    unit = max(0.6, width / 1200)
    margin, gap, space, title_size = (round(unit * length) for length in (32, 20, 6, 30))
    inner = width - 2 * margin

    lines = _stacked(wrap(drawable(title), font(title_size), inner, _TITLE_LINES), margin, margin, title_size)
    top = (lines[-1].box.bottom if lines else margin) + gap

    columns = _columns(len(labels) + 1, size, inner, gap, unit)
    cell = (inner - (columns - 1) * gap) // columns
    shown = _fitted(size, cell, inner)
    panels: list[Panel] = []
    everything = [("picture", ""), *labels]
    for start in range(0, len(everything), columns):
        row = []
        for column, label in enumerate(everything[start : start + columns]):
            left = margin + column * (cell + gap)
            picture = Box(left, top, left + shown[0], top + shown[1])
            written = _label(label, left, picture.bottom + space, cell, unit)
            row.append(Panel(picture, written if start + column else tuple(_quieter(written))))
        panels += row
        top = max(panel.lines[-1].box.bottom if panel.lines else panel.picture.bottom for panel in row) + gap

    explanation = f"{LEGEND} {LEGEND_UNKNOWN}" if any(word[1] == UNKNOWN for word in labels) else LEGEND
    scale, legend = _legend(explanation, margin, top + gap // 2, inner, gap, unit)
    bottom = max(line.box.bottom for line in legend)
    return Layout((width, bottom + margin), tuple(lines), tuple(panels), scale, legend)


def _columns(count: int, size: tuple[int, int], inner: int, gap: int, unit: float) -> int:
    def distance(columns: int) -> float:
        rows = math.ceil(count / columns)
        cell = (inner - (columns - 1) * gap) // columns
        height = rows * (_fitted(size, cell, inner)[1] + 50 * unit) + 120 * unit
        return abs(math.log(height / (_SLIDE * inner))) + 0.5 * (rows * columns - count) / columns

    # Narrower panels would have no room for words.
    most = max(1, int((inner + gap) // (140 * unit + gap)))
    return min(range(1, min(count, most) + 1), key=distance)


def _fitted(size: tuple[int, int], cell: int, inner: int) -> tuple[int, int]:
    """How large a picture is in a cell: as wide as that, unless it is much higher than wide."""
    scale = min(cell / size[0], inner / 2 / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _label(label: tuple[str, str], left: int, top: int, cell: int, unit: float) -> tuple[Line, ...]:
    """A word's lines, and its probability behind the last or, without room there, below."""
    size, small = round(20 * unit), round(17 * unit)
    word, probability = map(drawable, label)
    lines = _stacked(wrap(word, font(size), cell, _WORD_LINES), left, top, size)
    if not probability:
        return tuple(lines)
    behind = lines[-1].box.right + round(10 * unit) if lines else left
    if behind + font(small).getlength(probability) <= left + cell:
        # On the same base line.
        lower = font(size).getmetrics()[0] - font(small).getmetrics()[0]
        lines.append(Line(probability, behind, (lines[-1].top + lower) if lines else top, small, quiet=True))
    else:
        lines.append(Line(probability, left, lines[-1].box.bottom, small, quiet=True))
    return tuple(lines)


def _quieter(lines: Sequence[Line]) -> list[Line]:
    return [Line(line.text, line.left, line.top, line.size, quiet=True) for line in lines]


def _legend(text: str, left: int, top: int, inner: int, gap: int, unit: float) -> tuple[Box, tuple[Line, ...]]:
    size, space, bar = round(16 * unit), round(8 * unit), round(200 * unit)
    height = _height(size)
    weak = Line("weak", left, top, size, quiet=True)
    scale = Box(weak.box.right + space, top + height // 6, weak.box.right + space + bar, top + height - height // 6)
    strong = Line("strong", scale.right + space, top, size, quiet=True)
    start = strong.box.right + round(1.5 * gap)
    if left + inner - start < bar:
        start, top = left, strong.box.bottom + space
    texts = wrap(text, font(size), left + inner - start, _LEGEND_LINES)
    return scale, (weak, strong, *_stacked(texts, start, top, size, quiet=True))


def _stacked(texts: Sequence[str], left: int, top: int, size: int, quiet: bool = False) -> list[Line]:
    return [Line(text, left, top + place * _height(size), size, quiet) for place, text in enumerate(texts)]


def _height(size: int) -> int:
    return sum(font(size).getmetrics())
