"""A picture under the heatmap of each word, at its own resolution."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from capcli.heatmap.overlay import OPACITY, overlay

if TYPE_CHECKING:
    from PIL import Image

    from capcli.caption import Caption

_LONGEST = 40


def overlays(picture: Image.Image, caption: Caption, *, opacity: float = OPACITY) -> Iterator[tuple[str, Image.Image]]:
    """Lays the words' heatmaps over the picture, one after another, so that only one is in memory at a time.

    Args:
        picture: upright, RGB, of any size.
        caption: words with attention.
        opacity: as `overlay` takes it.

    Yields:
        A file name such as `02-dog.png`, and an RGB picture of the same size. The names sort as the words stand in
        the caption, and fit every file system: lower-case ASCII letters, digits and hyphens, at most 40 of the word's
        letters without their accents; what has none of these is called `word`.

    Raises:
        UsageError: for words without attention, or an opacity out of range.
    """
    digits = max(2, len(str(len(caption.words))))
    for number, word in enumerate(caption.words, 1):
        yield f"{number:0{digits}}-{_safe(word.text)}.png", overlay(picture, word.heatmap(picture.size), opacity)


def _safe(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].rstrip("-") or "word"
