"""PNG files: what Pillow does not say of them, and whole pictures with something broken beside the pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from capcli.arrays import AnyArray
from capcli.pictures.colour import profile_of, transform_of
from capcli.pictures.profile import coded_profile
from capcli.pictures.samples import to_bytes, to_rgb

MAGIC = b"\x89PNG\r\n\x1a\n"

_LEAST = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": 4, b"cICP": 4, b"eXIf": 8, b"tRNS": 1}
"""Ancillary chunks that a picture is read by, and the bytes that they have at least."""

_LEAST_TRANSPARENT = {0: 2, 2: 6, 3: 1}
"""Those of tRNS by the type of the colours; other types have none."""

_PROFILE = b"icCP"
"""A chunk of our own, which holds a profile as it is; Pillow passes it by."""

_OF_COLOUR = ("icc_profile", "gamma", "chromaticity", "srgb", "transparency")
"""What Pillow calls the content of chunks that stand before the pixels and count nowhere else."""

_OF_EXIF = ("exif", "Raw profile type exif")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MOST_TEXT = 2**20
"""Bytes of text that are looked through for EXIF."""

_MOST_PROFILE = 2**24
"""Bytes of a profile that is not taken for an attack."""


def mend(file: BinaryIO) -> BinaryIO | None:
    """Leave out of a PNG what does not belong to its pixels and may be why it cannot be read.

    This is text, and ancillary chunks that are too short or have a wrong checksum, as browsers do. A profile may be
    longer than Pillow takes.

    Returns:
        None for other files.
    """
    file.seek(0)
    if file.read(8) != MAGIC:
        return None
    kept, colour_type, pixels = [MAGIC], 0, False
    for kind, at, length in _chunks(file):
        file.seek(at)
        content, checksum = file.read(length), file.read(4)
        if kind == b"IHDR":
            colour_type = content[9]
        pixels = pixels or kind == b"IDAT"
        if kind[0] & 0x20:  # ancillary
            is_exif = kind == b"eXIf" or (content.startswith(b"Raw profile type exif\0") and length < _MOST_TEXT)
            least = _LEAST_TRANSPARENT.get(colour_type, length + 1) if kind == b"tRNS" else _LEAST.get(kind, length + 1)
            sound = zlib.crc32(kind + content) == int.from_bytes(checksum, "big")
            if not sound or not (is_exif or (length >= least and not pixels)):
                continue
            if kind == b"iCCP":
                kind, content = _PROFILE, _unpacked_profile(content)
                checksum = struct.pack("!I", zlib.crc32(kind + content))
        kept.append(struct.pack("!I4s", len(content), kind) + content + checksum)
    return io.BytesIO(b"".join(kept))


def decode(image: PngImagePlugin.PngImageFile, file: BinaryIO) -> Image.Image:
    """Decode an opened PNG, with what Pillow overlooks put right.

    Code points (cICP) go before a profile, as browsers have it. A transparent level is one of 8 bits, also where the
    file has fewer. Behind the pixels EXIF counts alone. 16-bit RGB with a colour space of its own or a transparent
    colour is decoded with all its bits, and is in sRGB by then.

    Args:
        image: as Pillow opened it; it is decoded itself unless all bits are wanted.
        file: what it was opened from.
    """
    depth, colour_type = _put_right(image, file)
    info = dict(image.info)
    is_deep = depth == 16 and colour_type in (2, 6)
    if is_deep and (isinstance(info.get("transparency"), tuple) or _has_colours_of_its_own(image)):
        return _decode_all_bits(image, file)
    image.load()
    image.info = {key: value for key, value in image.info.items() if key not in _OF_COLOUR}
    image.info |= {key: value for key, value in info.items() if key in _OF_COLOUR}
    if image.info.get("exif") != info.get("exif") and not _is_sound(file, b"eXIf"):
        image.info["exif"] = info.get("exif")
    return image


def _put_right(image: PngImagePlugin.PngImageFile, file: BinaryIO) -> tuple[int, int]:
    """Complete what Pillow knows of a PNG before it is decoded; returns the bits of a sample and the colour type."""
    place = file.tell()
    chunks = {kind: (at, length) for kind, at, length in _chunks(file, until=b"IDAT")}

    def content(kind: bytes) -> bytes:
        at, length = chunks.get(kind, (0, 0))
        file.seek(at)
        return file.read(length)

    depth, colour_type = content(b"IHDR")[8:10]
    codes, long_profile = content(b"cICP"), content(_PROFILE)
    file.seek(place)
    if long_profile:
        image.info["icc_profile"] = long_profile
    if len(codes) == 4:
        image.info["icc_profile"] = coded_profile(codes[0], codes[1])
        image.info.pop("gamma", None)
    transparent = image.info.get("transparency")
    if depth in (2, 4) and isinstance(transparent, int) and colour_type == 0:
        image.info["transparency"] = transparent * 255 // (2**depth - 1)
    elif isinstance(transparent, bytes):
        # Those of colours that the palette lacks do not matter; where there are more than any palette holds, none does.
        known = transparent[: chunks[b"PLTE"][1] // 3] if len(transparent) <= 256 else b""
        image.info["transparency"] = known or b"\xff"
    elif colour_type == 3 and isinstance(transparent, int) and transparent >= chunks[b"PLTE"][1] // 3:
        del image.info["transparency"]
    return depth, colour_type


def _is_sound(file: BinaryIO, wanted: bytes) -> bool:
    """Whether every chunk of a kind has the right checksum."""
    for kind, at, length in _chunks(file):
        if kind == wanted:
            file.seek(at)
            content, checksum = file.read(length), file.read(4)
            if zlib.crc32(kind + content) != int.from_bytes(checksum, "big"):
                return False
    return True


def has_late_metadata(file: BinaryIO) -> bool:
    """Whether something that may say how the picture is turned lies behind the pixels of a PNG."""
    place = file.tell()
    pixels = False
    try:
        for kind, _, _ in _chunks(file):
            pixels = pixels or kind == b"IDAT"
            if pixels and (kind == b"eXIf" or kind in _TEXTS):
                return True
        return False
    finally:
        file.seek(place)


def _chunks(file: BinaryIO, until: bytes | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of each chunk's content."""
    at = len(MAGIC)
    while True:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        length, kind = struct.unpack("!I4s", header)
        if kind == until:
            return
        yield kind, at + 8, length
        at += length + 12


def _unpacked_profile(content: bytes) -> bytes:
    packed = content.partition(b"\0")[2][1:]
    try:
        unpacking = zlib.decompressobj()
        profile = unpacking.decompress(packed, _MOST_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacking.eof else b""


def _has_colours_of_its_own(image: Image.Image) -> bool:
    profile = profile_of(image)
    return profile is not None and transform_of(profile, "RGB") is not None


def _decode_all_bits(image: PngImagePlugin.PngImageFile, file: BinaryIO) -> Image.Image:
    """16-bit RGB, of which Pillow keeps the higher bytes alone: the lower are read as if the order were the other."""
    samples: AnyArray = np.zeros((), np.uint16)
    for order in "BL":
        file.seek(0)
        half = PngImagePlugin.PngImageFile(file)
        half.tile = [tile._replace(args=str(tile.args).replace(";16B", f";16{order}")) for tile in half.tile]
        half.load()
        samples = samples << np.uint16(8) | np.asarray(half)
    rgb = to_rgb(samples[..., :3], 0, 65535, profile_of(image))
    transparent = image.info.get("transparency")
    if samples.shape[2] == 4:
        rgb.putalpha(Image.fromarray(to_bytes(samples[..., 3], 0, 65535)))
    elif transparent is not None:
        rgb.putalpha(Image.fromarray(np.where((samples == transparent).all(axis=-1), 0, 255).astype(np.uint8)))
    rgb.info = {key: value for key, value in half.info.items() if key in _OF_EXIF}
    return rgb
