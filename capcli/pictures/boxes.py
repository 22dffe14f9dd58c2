"""What AVIF and JPEG 2000 say of their picture beside the pixels, which Pillow does not give."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import BinaryIO

from capcli.pictures.profile import coded_profile

Box = tuple[int, int, int, int]

_MOST = 2**24
"""Bytes of a header that is looked through."""

_WITH_PROFILE = (b"\2", b"\3")
"""Methods of JPEG 2000 that describe colours by a profile."""


@dataclass(frozen=True)
class Header:
    """What a header says of a picture.

    Attributes:
        crop: the part that is shown, before it is turned: left, top, right and bottom in pixels; None for all.
        profile: ICC profile of its colours, or None.
    """

    crop: Box | None = None
    profile: bytes | None = None


def read_avif(file: BinaryIO, size: tuple[int, int]) -> Header:
    """Look through the header of an AVIF of this width and height for its clean aperture and colour space.

    An ICC profile is not looked for; Pillow gives it.
    """
    return _looked_for(file, b"meta", lambda content: _of_avif(content[4:], size))


def read_jpeg2000(file: BinaryIO, _: tuple[int, int]) -> Header:
    """Look through the header of a JPEG 2000 file for an ICC profile."""
    return _looked_for(file, b"jp2h", _of_jpeg2000)


READERS: dict[str | None, Callable[[BinaryIO, tuple[int, int]], Header]] = {
    "AVIF": read_avif,
    "JPEG2000": read_jpeg2000,
}
"""By the name that Pillow has for the format."""


def _looked_for(file: BinaryIO, kind: bytes, look: Callable[[bytes], Header]) -> Header:
    place = file.tell()
    file.seek(0)
    try:
        while len(header := file.read(8)) == 8:
            length, found = struct.unpack(">I4s", header)
            if found == kind:
                return look(file.read(min(length - 8, _MOST)))
            if length < 8:
                break
            file.seek(length - 8, os.SEEK_CUR)
    except (struct.error, LookupError, ArithmeticError):  # a damaged header; the decoder has the last word
        pass
    finally:
        file.seek(place)
    return Header()


def _of_avif(content: bytes, size: tuple[int, int]) -> Header:
    boxes = dict(_boxes(content))
    item = int.from_bytes(boxes[b"pitm"][4:], "big")
    inside = dict(_boxes(boxes[b"iprp"]))
    known = list(_boxes(inside[b"ipco"]))
    crop = profile = None
    for number in _associated(inside[b"ipma"], item):
        kind, payload = known[number - 1]
        if kind == b"clap":
            crop = _crop(struct.unpack(">IIIIiIiI", payload[:32]), size)
        elif kind == b"colr" and payload[:4] == b"nclx":
            profile = coded_profile(*struct.unpack(">HH", payload[4:8]))
    return Header(crop, profile)


def _of_jpeg2000(content: bytes) -> Header:
    profiles = (payload[3:] for kind, payload in _boxes(content) if kind == b"colr" and payload[:1] in _WITH_PROFILE)
    return Header(profile=next(profiles, None))


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            return
        yield kind, content[at + 8 : at + length]
        at += length


def _associated(content: bytes, item: int) -> list[int]:
    """Numbers of the properties that an item has, in the order in which they apply."""
    version, flags = content[0], content[3]
    (count,) = struct.unpack_from(">I", content, 4)
    at = 8
    for _ in range(count):
        number = struct.unpack_from(">I" if version else ">H", content, at)[0]
        at += 4 if version else 2
        held = content[at]
        at += 1
        width = 2 if flags & 1 else 1
        numbers = [
            int.from_bytes(content[place : place + width], "big") & (0x7FFF if flags & 1 else 0x7F)
            for place in range(at, at + held * width, width)
        ]
        if number == item:
            return numbers
        at += held * width
    return []


def _crop(numbers: tuple[int, ...], size: tuple[int, int]) -> Box | None:
    width, height, right, down = (Fraction(*numbers[at : at + 2]) for at in (0, 2, 4, 6))
    # Offsets are between the middles of both pictures.
    left = right + Fraction(size[0]) / 2 - width / 2
    top = down + Fraction(size[1]) / 2 - height / 2
    box = (floor(left), floor(top), floor(left) + int(width), floor(top) + int(height))
    inside = 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    return box if inside and box != (0, 0, *size) else None
