"""Small pictures inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture

SIDE = 320
"""The longer side at most, in pixels: sharp at half that width on a phone, and about 12 kB."""


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG as a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(path: Path) -> Thumbnail | None:
    """The picture at most SIDE pixels wide and high; None where it cannot be read."""
    try:
        picture = read_picture(path, at_least=SIDE)
    except UnreadableImage:
        return None
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=70, optimize=True)
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", *picture.size)
