"""What turns the new bytes of a file back into the old ones, far smaller than either where they have much in common."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_COPY = struct.Struct("<QQ")  # offset in the new bytes, length; a literal has no offset
_LITERAL = 2**64 - 1
_ANCHOR = 64
"""Bytes that have to be found alike before a common run is looked for."""

_STEP, _LONGEST_STEP = 256, 1 << 16
"""How far to go on where an anchor is not found; twice as far each time, so that unlike files do not take for ever."""


def make_delta(old: bytes, new: bytes) -> bytes:
    """A recipe for `apply_delta`: runs of bytes to copy from `new`, and the bytes that it lacks, deflated."""
    recipe = bytearray()
    for offset, start, stop in _runs(old, new):
        recipe += _COPY.pack(offset, stop - start)
        if offset == _LITERAL:
            recipe += old[start:stop]
    return zlib.compress(bytes(recipe), 9)


def apply_delta(delta: bytes, new: bytes) -> bytes:
    """The old bytes; raises ValueError where the recipe is broken. Whether `new` is the right file, a hash must say."""
    try:
        recipe = zlib.decompress(delta)
        pieces, place = [], 0
        while place < len(recipe):
            offset, length = _COPY.unpack_from(recipe, place)
            place += _COPY.size
            if offset == _LITERAL:
                pieces.append(recipe[place : place + length])
                place += length
            else:
                pieces.append(new[offset : offset + length])
    except (zlib.error, struct.error) as error:
        raise ValueError(str(error)) from None
    return b"".join(pieces)


def _runs(old: bytes, new: bytes) -> Iterator[tuple[int, int, int]]:
    """Offset in `new`, or `_LITERAL`, and start and stop in `old`, from its first byte to its last."""
    literal = place = shift = 0
    step = _STEP
    while place + _ANCHOR <= len(old):
        found = _find(old[place : place + _ANCHOR], new, place + shift)
        if found < 0:
            place += step
            step = min(2 * step, _LONGEST_STEP)
            continue
        reach = min(place - literal, found)
        back = _common(old[place - reach : place][::-1], 0, new[found - reach : found][::-1], 0)
        start, stop = place - back, place + _common(old, place, new, found)
        if literal < start:
            yield _LITERAL, literal, start
        yield found - back, start, stop
        literal, place, shift, step = stop, stop, found - place, _STEP
    if literal < len(old):
        yield _LITERAL, literal, len(old)


def _find(anchor: bytes, new: bytes, likely: int) -> int:
    """Where the anchor stands in `new`, first looked for at the likely place; -1 if nowhere."""
    if likely >= 0 and new.startswith(anchor, likely):
        return likely
    return new.find(anchor)


def _common(a: bytes, i: int, b: bytes, j: int) -> int:
    """How many bytes are alike from `a[i]` and `b[j]` on."""
    length, block = 0, 1 << 20
    most = min(len(a) - i, len(b) - j)
    while length < most:
        size = min(block, most - length)
        if a[i + length : i + length + size] == b[j + length : j + length + size]:
            length += size
        elif size == 1:
            break
        else:
            block = size // 2
    return length
