"""One picture: from any file to upright RGB, or to the reason why not."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from capcli.arrays import UInt8Array
from capcli.errors import TooManyPixels, UnreadableImage
from capcli.pictures.facts import Facts, hash_pixels, read_time_taken
from capcli.pictures.kinds import LEFT_OUT, ending_of
from capcli.pictures.opening import Picture, open_picture
from capcli.pictures.orientation import SIDEWAYS, load, turn_of
from capcli.pictures.refusal import NO_PICTURE, Refusal, TooLarge
from capcli.pictures.spelling import explain_absence
from capcli.pictures.transparency import on_white

LARGE_PIXELS = 2**24
"""Pictures with more pixels than this are decoded one at a time."""

_LARGE = threading.Lock()
_T = TypeVar("_T")

Source = str | Path | bytes
"""A picture: the path of its file, or all that a file of it would hold."""

IN_MEMORY = "the picture"
"""What errors call a picture that has no file."""


def read_picture(
    path: str | Path, *, at_least: int | None = None, large: AbstractContextManager[object] = _LARGE
) -> Image.Image:
    """Read a file as upright RGB in sRGB, transparency on white.

    An embedded profile (ICC), the colour space of a PNG, AVIF or HEIC (cICP, nclx) and a PNG's gamma are applied; where
    they are broken the pixels are taken as they are. Of an animation it is the first frame, of a TIFF the first page
    that does not say it is a small copy (a thumbnail) or a mask. EXIF alone says how the picture is turned. A JPEG
    whose end is missing, and a PNG with something broken beside its pixels, are read if all their pixels are there.

    Args:
        path: a regular file of any format and mode that Pillow or tifffile reads.
        at_least: a JPEG may be decoded at a half, quarter or eighth of its size as long as neither side falls
            below this many pixels.
        large: entered while a picture of more than LARGE_PIXELS is decoded; a lock of this process by default.

    Raises:
        UnreadableImage: for whatever is wrong with the file, with the reason.
    """
    return _with_file(path, lambda file: _decode(open_picture(file, at_least), large)[1])


def upright_size(path: str | Path) -> tuple[int, int]:
    """Width and height of what `read_picture` gives at full size, found without decoding the pixels where they can be.

    They cannot in TIFF, in PNG with text or EXIF behind the pixels, nor in rarer formats: these are decoded.

    Raises:
        UnreadableImage: for whatever is wrong with the file, as far as it was read.
    """

    def measured(file: BinaryIO) -> tuple[int, int]:
        picture = open_picture(file)
        if (size := picture.known_size()) is not None:
            return size
        with _LARGE if picture.pixels > LARGE_PIXELS else nullcontext():
            image = picture.decode()
        return image.size[::-1] if turn_of(image) in SIDEWAYS else image.size

    return _with_file(path, measured)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture of any mode upright by its EXIF orientation and make it RGB in sRGB, 8 bits a channel.

    Its profile is applied as `capcli.pictures.colour.to_srgb` does, transparency is composited on white. Samples of
    more bits are scaled to 8: float samples as `capcli.pictures.samples.range_of` has it. The result may be `image`
    itself, and is returned as it is if it comes here again.
    """
    load(image)  # first, because some formats know their orientation or transparency only then
    turn = turn_of(image)
    rgb = on_white(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    if rgb is not image:
        rgb.info = {}  # where a profile, or the orientation that it had, would live on
    return rgb


def read_array(
    source: Source,
    size: int,
    *,
    proportions: bool = False,
    large: AbstractContextManager[object] = _LARGE,
    most_pixels: int | None = None,
) -> UInt8Array:
    """Read a picture as a model takes it: as `read_picture` does, then `to_array`.

    A large JPEG is decoded at a reduced size of at least twice `size`, which moves grey levels by one on average.

    Raises:
        TooManyPixels: for one of more than `most_pixels`, which is not decoded, or than capcli decodes.
        UnreadableImage: for whatever else is wrong with it.
    """

    def work(file: BinaryIO) -> Image.Image:
        picture = open_picture(file, 2 * size)
        picture.check_pixels(most_pixels)
        return _decode(picture, large)[1]

    return to_array(_with_file(source, work), size, proportions=proportions)


def read_described(
    source: Source,
    size: int,
    *,
    proportions: bool = False,
    large: AbstractContextManager[object] = _LARGE,
    most_pixels: int | None = None,
) -> tuple[UInt8Array, Facts]:
    """`read_array`, and what a library remembers of the picture; it is decoded once for both.

    One without a file was changed at 0.
    """

    def described(file: BinaryIO) -> tuple[Image.Image, Facts]:
        length, changed = len(source) if isinstance(source, bytes) else 0, 0
        if not isinstance(source, bytes):
            state = os.fstat(file.fileno())
            length, changed = state.st_size, state.st_mtime_ns
        picture = open_picture(file, 2 * size)
        picture.check_pixels(most_pixels)
        decoded, upright = _decode(picture, large)
        width, height = picture.whole_size(upright)
        taken = read_time_taken(decoded)
        return upright, Facts(length, changed, width, height, taken, hash_pixels(upright))

    upright, facts = _with_file(source, described)
    return to_array(upright, size, proportions=proportions), facts


def has_pixels(path: str | Path, facts: Facts) -> bool:
    """Whether a file has the pixels that `facts` tell of, upright, whatever its metadata say.

    Raises:
        UnreadableImage: for whatever is wrong with the file, with the reason.
    """
    for share in (8, 4, 2, 1):  # by which a large JPEG may have been reduced for the model, as small ones are fastest
        picture = read_picture(path, at_least=max(1, min(facts.width, facts.height) // share))
        if hash_pixels(picture) == facts.pixels:
            return True
        if picture.width >= facts.width or picture.height >= facts.height:
            break
    return False


def to_array(image: Image.Image, size: int, *, proportions: bool = False) -> UInt8Array:
    """Squash an RGB picture to a square, bicubic and antialiased; nothing at its edges is cropped away.

    Args:
        image: the picture.
        size: side of the square.
        proportions: shrink it instead until its longer side is at most `size`, and leave a smaller one as it is.

    Returns:
        uint8 array of shape (size, size, 3); with `proportions` of (height, width, 3), both from 1 to size.
    """
    if proportions:
        share = min(1.0, size / max(image.size))
        width, height = (max(1, round(side * share)) for side in image.size)
        return np.array(image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0))
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


def _decode(picture: Picture, large: AbstractContextManager[object]) -> tuple[Image.Image, Image.Image]:
    """A picture as the file has it, and upright in RGB."""
    # Several are read at once, and a few pictures of this size would not fit into memory together.
    with large if picture.pixels > LARGE_PIXELS else nullcontext():
        decoded = picture.decode()
        return decoded, upright_rgb(decoded)


def _with_file(source: Source, work: Callable[[BinaryIO], _T]) -> _T:
    """What `work` makes of the open file; raises UnreadableImage."""
    path = IN_MEMORY if isinstance(source, bytes) else source
    try:
        if isinstance(source, bytes):
            return work(io.BytesIO(source))
        # Asked before opening, because opening a pipe waits for a writer.
        mode = os.stat(path).st_mode  # noqa: PTH116 - nor is "" the current folder, as Path has it
        if stat.S_ISDIR(mode):
            open_to_us = os.access(path, os.R_OK | os.X_OK)
            raise Refusal("is a folder" if open_to_us else "is a folder that may not be looked into")
        if not stat.S_ISREG(mode):
            raise Refusal("is not a regular file")
        with Path(path).open("rb") as file:
            return work(file)
    except TooLarge as refusal:
        raise TooManyPixels(path, str(refusal)) from None
    except Refusal as refusal:
        reason = str(refusal)
        if reason == NO_PICTURE and (why := LEFT_OUT.get(ending_of(Path(path).name))):
            reason += f" ({why})"
    except Exception as error:  # Pillow's plugins raise nearly every type on damaged files
        reason = _reason(path, error)
    raise UnreadableImage(path, reason)


def _reason(path: str | Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"does not exist{explain_absence(path)}"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    reason = getattr(error, "strerror", None)
    if reason:
        return f"cannot be read ({reason.lower()})"
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "is truncated"
    return f"is damaged ({text})" if text else "is damaged"
