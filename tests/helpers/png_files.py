"""PNG files written chunk by chunk, for what Pillow does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from capcli.arrays import AnyArray

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    """A chunk, with a wrong checksum unless it is sound."""
    checksum = zlib.crc32(kind + content) ^ (not sound)
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", checksum)


def png(samples: AnyArray, colour_type: int, depth: int, *before: bytes, after: bytes = b"") -> bytes:
    """A PNG of samples, H x W or H x W x channels of `depth` bits, with chunks before and behind its pixels."""
    height, width = samples.shape[:2]
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    pixels = np.hstack([np.zeros((height, 1), np.uint8), rows.reshape(height, -1)]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pieces = (chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(pixels)), after, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def gamma(value: float) -> bytes:
    """A gAMA chunk: samples are light to the power `value`."""
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def primaries(*points: float) -> bytes:
    """A cHRM chunk: x and y of white, red, green and blue."""
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in points)))


def profile(content: bytes) -> bytes:
    """An iCCP chunk."""
    return chunk(b"iCCP", b"test\0\0" + zlib.compress(content))


def transparent(*levels: int) -> bytes:
    """A tRNS chunk of one grey or one colour."""
    return chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))
