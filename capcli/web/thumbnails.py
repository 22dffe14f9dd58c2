"""Pictures of a library for a page: upright, small, in sRGB, without metadata."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path

from capcli.errors import UnreadableImage
from capcli.output.html import jpeg
from capcli.pictures.read import read_picture

SIDES = {"small": 160, "large": 1280}
"""The longer side at most, in pixels: in the list, and alone."""

_TOGETHER = threading.BoundedSemaphore(2)
"""Pictures decoded at once: each may take much memory."""


def make_thumbnail(path: str, side: int) -> bytes:
    """A picture as JPEG whose longer side is at most `side` pixels; raises UnreadableImage with the reason."""
    try:
        changed = os.stat(path).st_mtime_ns  # noqa: PTH116 - of names that Path would change
    except (OSError, ValueError):
        raise UnreadableImage(path, "is missing") from None
    return _make(path, side, changed)


@lru_cache(256)
def _make(path: str, side: int, changed: int) -> bytes:
    with _TOGETHER:
        picture = read_picture(Path(path), at_least=side)
    picture.thumbnail((side, side))
    return jpeg(picture, quality=82)
