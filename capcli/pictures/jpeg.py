"""JPEG files whose end is missing, though not one of their pixels."""

from __future__ import annotations

import hashlib
import io
import re
from typing import BinaryIO

import numpy as np
from PIL import JpegImagePlugin

from capcli.pictures.refusal import MAX_PIXELS

MAGIC = b"\xff\xd8\xff"

_END = b"\xff\xd9"
_NOISE = np.random.default_rng(0).integers(0, 255, 256, np.uint8).tobytes()
"""Bytes that are taken for pixels of some kind; none begins a marker."""

_AFTER_SCAN = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
_SCAN = 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)
_AT_ONCE = 2**24
"""Pixels above which a file is looked at in a smaller size."""


def mend(file: BinaryIO) -> BinaryIO | None:
    """Give a JPEG the end that it lacks, if all its pixels are there in full detail.

    Returns:
        None for other files, and where pixels are missing.

    Raises:
        Exception: of several types, where more is broken than the end.
    """
    file.seek(0)
    content = file.read()
    if not content.startswith(MAGIC):
        return None
    content = content.removesuffix(b"\xff")
    # A decoder makes up the pixels that it misses, and does not say so. If it makes them of whatever comes next, some
    # are missing in the last scan; if that changes nothing, none is.
    whole = _has_all_scans(content) and _pixels(content + _END) == _pixels(content + _NOISE + _END)
    return io.BytesIO(content + _END) if whole else None


def _has_all_scans(content: bytes) -> bool:
    """Whether every coefficient of every component has a scan that brings its last bit."""
    missing: set[tuple[int, int]] = set()
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : at + 2 + length]
        at += 2 + length
        if marker in _FRAMES:
            missing = {(body[6 + 3 * place], order) for place in range(body[5]) for order in range(64)}
        elif marker == _SCAN:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            if bits & 0x0F == 0:
                scanned = {body[1 + 2 * place] for place in range(count)}
                missing -= {(name, order) for name in scanned for order in range(first, last + 1)}
            following = _AFTER_SCAN.search(content, at)
            at = following.start() if following else len(content)
    return not missing


def _pixels(content: bytes) -> bytes:
    """A digest of what a decoder makes of the file."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    pixels = image.width * image.height
    if pixels > _AT_ONCE and not image.info.get("progressive"):
        image.draft(image.mode, (1, 1))
    elif pixels > MAX_PIXELS:
        raise OSError("too large")
    return hashlib.blake2b(image.tobytes()).digest()
