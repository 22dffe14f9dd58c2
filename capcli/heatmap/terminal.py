"""Heatmaps in the terminal itself, in coloured half blocks or in shades."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from rich.cells import cell_len, chop_cells

from capcli.errors import UsageError
from capcli.heatmap.overlay import overlay
from capcli.heatmap.sentence import probability

if TYPE_CHECKING:
    from capcli.caption import Caption, Word

COLOURS = ("truecolor", "256", "none")

SHADES = ".:-=+*#%@"
"""From weak to strong, where there is no colour."""

# What a panel needs for its word to be read and the picture to be made out, in characters.
_LEAST = 28
_HEIGHT = 24
_GAP = 2
_WORD_LINES = 4


def render(
    picture: Image.Image,
    caption: Caption,
    width: int,
    *,
    height: int | None = None,
    colour: Literal["truecolor", "256", "none"] = "truecolor",
) -> Iterator[str]:
    """Draws the picture under the heatmap of each word, as many side by side as fit, the word below.

    Behind the word stands its probability. With colour a character is two pixels, an upper half block in two colours,
    and every line ends with a reset. Without, it is a pixel of the heatmap alone, from `.` to `@`, and there are no
    escape sequences. Characters are taken to be twice as high as wide.

    Args:
        picture: upright, RGB, of any size.
        caption: words with attention.
        width: that no line exceeds, in characters.
        height: that no picture exceeds, in lines; 24 by default.
        colour: 24 bits, the 256 colours of xterm, or none.

    Yields:
        Lines without their ends; an empty one between rows of panels.

    Raises:
        UsageError: for a width or height below 1, another `colour`, or words without attention.
    """
    if width < 1 or (height is not None and height < 1):
        raise UsageError(f"there is nothing to draw on with {width} x {height or _HEIGHT} characters")
    if colour not in COLOURS:
        raise UsageError(f"colour is {', '.join(COLOURS)}, not {colour!r}")
    words = caption.words
    count, cell = _columns(picture.size, len(words), width)
    size = fit_into(picture.size, cell, height or _HEIGHT)
    small = picture.resize((size[0], 2 * size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    end = "" if colour == "none" else "\x1b[0m"
    for start in range(0, len(words), count):
        if start:
            yield end
        row = words[start : start + count]
        panels = [_shades(word, size) if colour == "none" else _blocks(small, word, colour) for word in row]
        padding = " " * (cell - size[0])
        for lines in zip(*panels, strict=True):
            yield (padding + " " * _GAP).join(lines)
        for texts in zip_longest(*(_label(word, cell) for word in row), fillvalue=""):
            padded = (text + " " * (cell - cell_len(text)) for text in texts)
            yield (" " * _GAP).join(padded).rstrip() + end


def printable(text: str) -> str:
    """Text with U+FFFD for what would steer the terminal, which a sentence of the user's own may hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _columns(size: tuple[int, int], words: int, width: int) -> tuple[int, int]:
    """How many panels go side by side, and how wide each is; wide pictures have wider ones."""
    least = min(width, max(_LEAST, round(_HEIGHT * size[0] / size[1])))
    count = max(1, min(words, (width + _GAP) // (least + _GAP)))
    # Much wider than needed, a single word would fill the screen.
    return count, min((width - _GAP * (count - 1)) // count, 2 * least)


def fit_into(size: tuple[int, int], cell: int, height: int) -> tuple[int, int]:
    """Characters across and lines down of a picture in its shape, at most `cell` and `height` of them.

    Characters are taken to be twice as high as wide.
    """
    scale = min(cell / size[0], 2 * height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale / 2))


def draw_blocks(drawn: Image.Image, colour: str) -> Iterator[str]:
    """A picture in half blocks, two of its rows a line, each line with a reset at its end; colour as for `render`."""
    codes = _direct(drawn) if colour == "truecolor" else _indexed(drawn)
    for upper, lower in zip(codes[::2], codes[1::2], strict=True):
        line, last = [], None
        for both in zip(upper, lower, strict=True):
            # Terminals draw long lines slowly, and neighbours often are alike.
            line.append("▀" if both == last else f"\x1b[38;{both[0]};48;{both[1]}m▀")
            last = both
        yield "".join(line) + "\x1b[0m"


def _direct(drawn: Image.Image) -> list[list[str]]:
    return [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in np.asarray(drawn).tolist()]


def _indexed(drawn: Image.Image) -> list[list[str]]:
    """In xterm's 6 x 6 x 6 colours and 24 greys; the first 16 colours are whatever a user likes."""
    steps = np.array([0, 95, 135, 175, 215, 255])
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    greys = np.repeat(np.arange(8, 248, 10), 3).reshape(-1, 3)
    palette = Image.new("P", (1, 1))
    # Repeated up to 256, which Pillow would else fill up with black.
    palette.putpalette(np.concatenate([cube, greys, greys[-16:]]).astype(np.uint8).tobytes())
    indices = np.asarray(drawn.quantize(palette=palette, dither=Image.Dither.NONE)).astype(int)
    codes = np.where(indices < 240, indices, indices - 16) + 16
    return [[f"5;{code}" for code in row] for row in codes.tolist()]


def _blocks(small: Image.Image, word: Word, colour: str) -> Iterator[str]:
    return draw_blocks(overlay(small, word.heatmap(small.size)), colour)


def _shades(word: Word, size: tuple[int, int]) -> Iterator[str]:
    levels = np.rint(word.heatmap(size) * (len(SHADES) - 1)).astype(int)
    for row in levels.tolist():
        yield "".join(SHADES[level] for level in row)


def _label(word: Word, cell: int) -> list[str]:
    """Lines of the word and its probability, none wider than the cell; of a very long word the middle is left out."""
    lines = _chopped(unicodedata.normalize("NFC", printable(word.text)), cell)
    if len(lines) > _WORD_LINES:
        lines = [*lines[: _WORD_LINES - 2], "…", lines[-1]]
    chance = probability(word)
    if lines and cell_len(lines[-1]) + 2 + len(chance) <= cell:
        return [*lines[:-1], f"{lines[-1]}  {chance}"]
    return lines + _chopped(chance, cell)


def _chopped(text: str, cell: int) -> list[str]:
    """Pieces at most `cell` wide; a character that is wider by itself is left out."""
    return [piece for piece in chop_cells(text, cell) if piece and cell_len(piece) <= cell]
