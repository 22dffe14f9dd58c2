"""All heatmaps of a caption in one picture, for a slide or a paper.

The room's name for the function is this module's too, so the room imports it at once and nothing heavy may come with
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from capcli.caption import Caption
    from capcli.heatmap.layout import Box, Line


def grid(picture: Image.Image, caption: Caption, *, width: int = 1200) -> Image.Image:
    """Draws the picture, then for each word the picture under its heatmap with the word and its probability below.

    The caption is the title; a colour scale says what is shown. A letter that the font lacks is drawn as U+FFFD;
    `capcli.heatmap.text.missing` says which letters these are.

    Args:
        picture: of any size and mode; it is turned upright by its EXIF orientation.
        caption: words with attention.
        width: of the drawing in pixels; its height follows from the picture's shape and the number of words.

    Returns:
        RGB on white.

    Raises:
        UsageError: for a width below 320, words without attention, or what is no picture or caption.
    """
    from PIL import Image, ImageDraw

    from capcli.caption import Caption
    from capcli.errors import UsageError
    from capcli.heatmap.layout import layout
    from capcli.heatmap.overlay import overlay
    from capcli.heatmap.sentence import probability
    from capcli.pictures.read import upright_rgb

    if not isinstance(picture, Image.Image) or not isinstance(caption, Caption):
        given = f"{type(picture).__name__} and {type(caption).__name__}"
        raise UsageError(f"a grid is drawn of a PIL image and a Caption, not of {given}")
    picture = upright_rgb(picture)
    labels = [(word.text, probability(word)) for word in caption.words]
    places = layout(picture.size, caption.text, labels, width)
    drawn = Image.new("RGB", places.size, "white")
    pen = ImageDraw.Draw(drawn)
    size = places.panels[0].picture.size
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    pictures = [small, *(overlay(small, word.heatmap(size)) for word in caption.words)]
    for panel, content in zip(places.panels, pictures, strict=True):
        drawn.paste(content, panel.picture[:2])
        for line in panel.lines:
            _write(pen, line)
    for line in (*places.title, *places.legend):
        _write(pen, line)
    drawn.paste(_scale(places.scale), places.scale[:2])
    return drawn


def _write(pen: ImageDraw.ImageDraw, line: Line) -> None:
    from capcli.heatmap.text import font

    pen.text((line.left, line.top), line.text, "#57606a" if line.quiet else "#1c2126", font(line.size))


def _scale(box: Box) -> Image.Image:
    from PIL import Image

    from capcli.heatmap.colour import colours

    return Image.fromarray(colours()[None]).resize(box.size, Image.Resampling.BILINEAR)
