"""One picture: from any file to upright RGB, or to the reason why not."""

from __future__ import annotations

import importlib
import logging
import os
import stat
import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from capcli.errors import UnreadableImage

MAX_PIXELS = 2**27
"""The most pixels that are decoded at once: half a gigabyte at Pillow's four bytes each."""

LARGE_PIXELS = 2**24
"""Pictures with more pixels than this are decoded one at a time."""

_LARGE = threading.Lock()
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_TOLD_FIRST = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "PPM", "QOI")
"""Formats whose size and orientation Pillow knows before it decodes."""
_T = TypeVar("_T")

# What Pillow remarks on a file is either harmless or becomes an UnreadableImage. Appended, so that filters of
# the program that imports capcli go first; warnings.catch_warnings would not be safe in the reading threads.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Pillow loads its rarer formats when it first meets an unknown file, and that is not safe in threads either.
Image.init()
try:
    importlib.import_module("pillow_heif").register_heif_opener()
    _HEIF = True
except ImportError:
    _HEIF = False


def read_picture(
    path: str | Path, *, at_least: int | None = None, large: AbstractContextManager[object] = _LARGE
) -> Image.Image:
    """Read a file as upright RGB, transparency on white; of an animation the first frame.

    Args:
        path: a regular file of any format and mode that Pillow reads.
        at_least: a JPEG may be decoded at a half, quarter or eighth of its size as long as neither side falls
            below this many pixels.
        large: entered while a picture of more than LARGE_PIXELS is decoded; a lock of this process unless told.

    Raises:
        UnreadableImage: for whatever is wrong with the file, with the reason.
    """

    def decoded(file: BinaryIO) -> Image.Image:
        image = _open(file, at_least)
        # Several are read at once, and a few pictures of this size would not fit into memory together.
        with large if image.width * image.height > LARGE_PIXELS else nullcontext():
            return upright_rgb(image)

    return _taken(path, decoded)


def upright_size(path: str | Path) -> tuple[int, int]:
    """Width and height of what `read_picture` gives at full size, found without decoding the pixels where they can be.

    They cannot in PNG with text or EXIF behind the pixels, nor in rarer formats: these are decoded.

    Raises:
        UnreadableImage: for whatever is wrong with the file, as far as it was read.
    """

    def measured(file: BinaryIO) -> tuple[int, int]:
        image = _identify(file)
        if image.format not in _TOLD_FIRST and (image.format != "PNG" or _tells_late(file)):
            with _LARGE if image.width * image.height > LARGE_PIXELS else nullcontext():
                image.load()
        width, height = image.size
        return (height, width) if _turn(image) in _SIDEWAYS else (width, height)

    return _taken(path, measured)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture of any mode upright by its EXIF orientation and make it RGB, 8 bits a channel.

    Transparency is composited on white. 16-bit samples are scaled to 8 bits; float samples are taken to end
    at 1, 255 or 65535, whichever first holds them all. The result may be `image` itself, and is returned as it is if
    it comes here again.
    """
    image.load()  # first, because some formats know their orientation or transparency only then
    turn = _turn(image)
    rgb = _rgb(image)
    if turn is None:
        return rgb
    upright = rgb.transpose(turn)
    upright.info = {}  # where the orientation that it had would live on, in EXIF or XMP
    return upright


def read_array(path: str | Path, size: int, *, large: AbstractContextManager[object] = _LARGE) -> np.ndarray:
    """Read a file as a square for a model: `read_picture`, then `to_array`; raises UnreadableImage.

    A large JPEG is decoded at a reduced size of at least twice `size`, which moves grey levels by one on average.
    """
    return to_array(read_picture(path, at_least=2 * size, large=large), size)


def to_array(image: Image.Image, size: int) -> np.ndarray:
    """Squash an RGB picture to a square, bicubic and antialiased; nothing at its edges is cropped away.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


class _Refused(Exception):  # noqa: N818 - a verdict, not a fault
    """Why a file is not decoded."""


def _taken(path: str | Path, work: Callable[[BinaryIO], _T]) -> _T:
    """What `work` makes of the open file; raises UnreadableImage."""
    try:
        # Asked before opening, because opening a pipe waits for a writer.
        mode = os.stat(path).st_mode  # noqa: PTH116 - nor is "" the current folder, as Path has it
        if stat.S_ISDIR(mode):
            open_to_us = os.access(path, os.R_OK | os.X_OK)
            raise _Refused("is a folder" if open_to_us else "is a folder that may not be looked into")
        if not stat.S_ISREG(mode):
            raise _Refused("is not a regular file")
        with Path(path).open("rb") as file:
            return work(file)
    except _Refused as refused:
        reason = str(refused)
    except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
        reason = _reason(error)
    raise UnreadableImage(path, reason)


def _identify(file: BinaryIO) -> ImageFile.ImageFile:
    """Open a picture whose pixels are still in the file."""
    start = file.read(64)
    file.seek(0)
    if not start:
        raise _Refused("is empty (0 bytes)")
    image: ImageFile.ImageFile
    try:
        if start.startswith(b"\xff\xd8\xff"):
            # Not Image.open: it refuses by the size in the file, before draft() can ask for less.
            image = JpegImagePlugin.JpegImageFile(file)
        else:
            image = Image.open(file)
    except Image.DecompressionBombError:
        raise _Refused(f"has more than the {MAX_PIXELS:,} pixels capcli decodes; scale it down") from None
    except UnidentifiedImageError:
        if not _HEIF and _is_heic(start):
            raise _Refused('is a HEIC picture, which needs pillow-heif: pip install "capcli[heic]"') from None
        raise _Refused("is not a picture capcli can read") from None
    if image.format == "EPS":  # a program, which Pillow would run through Ghostscript
        raise _Refused("is not a picture capcli can read")
    return image


def _open(file: BinaryIO, at_least: int | None) -> Image.Image:
    image = _identify(file)
    width, height = image.size
    if at_least and image.format == "JPEG":
        image.draft(image.mode, (at_least, at_least))
    # A progressive JPEG is held in memory at full size even while it is decoded at a smaller one.
    pixels = width * height if image.info.get("progressive") else image.width * image.height
    if pixels > MAX_PIXELS:
        raise _Refused(f"has {width} x {height} pixels, capcli decodes {MAX_PIXELS:,}; scale it down")
    return image


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What brings the picture upright, as far as is known before it is loaded."""
    try:
        # Not the method of PNG's own, which would decode the picture to look for more behind its pixels.
        return _TURNS.get(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF does not make the pixels worse
        return None


def _tells_late(png: BinaryIO) -> bool:
    """Whether something that may tell the orientation lies behind the pixels."""
    place = png.tell()
    png.seek(8)
    pixels = False
    try:
        while len(header := png.read(8)) == 8:
            length, kind = struct.unpack("!I4s", header)
            pixels = pixels or kind == b"IDAT"
            if pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            png.seek(length + 4, os.SEEK_CUR)
        return False
    finally:
        png.seek(place)


def _is_heic(start: bytes) -> bool:
    # Not by the major brand alone: behind "mif1" HEIC and AVIF hide alike, and only the compatible brands tell.
    brands = start[8 : int.from_bytes(start[:4], "big")]
    return start[4:8] == b"ftyp" and any(brand in brands for brand in _HEIC_BRANDS)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_samples(np.asarray(image), top=65535)
    if image.mode == "F":
        samples = np.nan_to_num(np.asarray(image), nan=0, posinf=0, neginf=0)
        highest = samples.max(initial=0)
        return _from_samples(samples, next((top for top in (1, 255, 65535) if highest <= top), highest))
    if image.has_transparency_data:
        rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_samples(samples: np.ndarray, top: float) -> Image.Image:
    grey = np.clip(np.rint(samples * np.float32(255 / top)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    told = getattr(error, "strerror", None)
    if told:
        return f"cannot be read ({told.lower()})"
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "is truncated"
    return f"is damaged ({text})" if text else "is damaged"
