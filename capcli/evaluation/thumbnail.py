"""Small pictures inside a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UnreadableImage
from capcli.output.html import data_uri, jpeg
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
    return Thumbnail(data_uri(jpeg(picture, quality=70)), *picture.size)
