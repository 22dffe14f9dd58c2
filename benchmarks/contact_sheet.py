"""Pages of pictures, each with a number and a sentence, that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from capcli.heatmap.text import drawable, font, wrap
from capcli.pictures.read import read_picture

COLUMNS, ROWS = 4, 3
WIDTH = 1200
"""Of a page in pixels; its height follows from its sentences and is about 1,000, so that it fits a screen."""

MARGIN, GAP = 20, 16
CELL = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
FRAME = (CELL, 204)
INDENT = 44

TITLE_SIZE, NUMBER_SIZE, CAPTION_SIZE, CONFIDENCE_SIZE = 15, 21, 17, 14
LINE = 22
LONGEST = 40
"""Lines of a sentence that are shown, more than any caption has."""

PAPER, SHADE, INK, QUIET, ACCENT = "#ffffff", "#eceef0", "#16181a", "#63686d", "#1a56a0"


@dataclass(frozen=True)
class Panel:
    """A picture and what is said of it.

    Attributes:
        number: by which a reader refers to it.
        picture: the file.
        caption: the sentence; nothing of it is left out.
        confidence: 0 to 1; None where it is not to be shown.
    """

    number: int
    picture: Path
    caption: str
    confidence: float | None = None


def draw_pages(panels: Sequence[Panel], title: str) -> Iterator[Image.Image]:
    """Draws pages of four by three panels, in their order.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
    """
    size = COLUMNS * ROWS
    pages = [panels[start : start + size] for start in range(0, len(panels), size)]
    for number, page in enumerate(pages, 1):
        yield _page(page, f"{title}, page {number} of {len(pages)}")


def _page(panels: Sequence[Panel], title: str) -> Image.Image:
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    heights = [max(map(_height, row)) for row in rows]
    top = MARGIN + TITLE_SIZE + GAP
    page = Image.new("RGB", (WIDTH, top + sum(heights) + GAP * (len(rows) - 1) + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN - 6), drawable(title), QUIET, font(TITLE_SIZE))
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            _draw(page, pen, panel, MARGIN + column * (CELL + GAP), top)
        top += height + GAP
    return page


def _draw(page: Image.Image, pen: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    width, height = FRAME
    pen.rectangle((left, top, left + width - 1, top + height - 1), SHADE)
    picture = read_picture(panel.picture)
    scale = min(width / picture.width, height / picture.height)
    shown = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    place = (left + (width - shown[0]) // 2, top + (height - shown[1]) // 2)
    page.paste(picture.resize(shown, Image.Resampling.LANCZOS), place)
    top += height + 6
    pen.text((left, top - 2), str(panel.number), ACCENT, font(NUMBER_SIZE))
    for line in _lines(panel):
        pen.text((left + INDENT, top), line, INK, font(CAPTION_SIZE))
        top += LINE
    if panel.confidence is not None:
        pen.text((left + INDENT, top), f"confidence {panel.confidence:.2f}", QUIET, font(CONFIDENCE_SIZE))


def _lines(panel: Panel) -> list[str]:
    return wrap(drawable(panel.caption), font(CAPTION_SIZE), CELL - INDENT, LONGEST)


def _height(panel: Panel) -> int:
    below = LINE * max(1, len(_lines(panel))) + (0 if panel.confidence is None else LINE)
    return FRAME[1] + 6 + below
