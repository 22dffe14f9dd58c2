"""A file's picture before it is decoded: which it is, how large, or why there is none."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from contextlib import suppress
from typing import BinaryIO

from PIL import (
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

from capcli.pictures import boxes, jpeg, orientation, png, tiff
from capcli.pictures.refusal import MAX_PIXELS, NO_PICTURE, Refusal, TooLarge

Source = ImageFile.ImageFile | tiff.Page

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_KNOWN_FIRST = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "PPM", "QOI")
"""Formats whose size and orientation Pillow knows before it decodes."""

_REFUSED = ("EPS", "WMF", "EMF", "MPEG", "BUFR", "GRIB", "HDF5")
"""Formats that Pillow knows and cannot decode, or could by running a program alone."""

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


class Picture:
    """A file's picture, whose pixels are not decoded yet.

    Args:
        file: holds the picture from its beginning.
        at_least: a JPEG may be decoded at a half, quarter or eighth of its size as long as neither side falls
            below this many pixels.

    Raises:
        Refusal: where it holds no picture that capcli decodes.
        Exception: of nearly every type, for a damaged file.
    """

    def __init__(self, file: BinaryIO, at_least: int | None = None) -> None:
        self._file = file
        self._at_least = at_least
        self._source = source = _identify(file)
        self._whole_size = source.size
        self._crop: boxes.Box | None = None
        if isinstance(source, JpegImagePlugin.JpegImageFile):
            if at_least:
                source.draft(source.mode, (at_least, at_least))
        elif isinstance(source, ImageFile.ImageFile) and (read_header := boxes.READERS.get(source.format)):
            header = read_header(file, source.size)
            self._crop = header.crop
            if header.profile:
                source.info.setdefault("icc_profile", header.profile)

    @property
    def pixels(self) -> int:
        """How many are held in memory while it is decoded."""
        # Of a progressive JPEG all of them, even while it is decoded at a smaller size.
        progressive = isinstance(self._source, ImageFile.ImageFile) and self._source.info.get("progressive")
        width, height = self._whole_size if progressive else self._source.size
        return width * height

    def check_pixels(self, most: int | None) -> None:
        """Raises TooLarge where the whole picture has more than `most` pixels, however small it may be decoded."""
        width, height = self._whole_size
        if most is not None and width * height > most:
            raise TooLarge(f"has {width} x {height} pixels, and at most {most:,} are taken; scale it down")

    def known_size(self) -> tuple[int, int] | None:
        """Width and height in pixels when it stands upright, or None where only decoding tells."""
        source = self._source
        if isinstance(source, tiff.Page):
            return None
        if source.format not in _KNOWN_FIRST and (source.format != "PNG" or png.has_late_metadata(self._file)):
            return None
        left, top, right, bottom = self._crop or (0, 0, *source.size)
        width, height = right - left, bottom - top
        return (height, width) if orientation.turn_of(source) in orientation.SIDEWAYS else (width, height)

    def whole_size(self, upright: Image.Image) -> tuple[int, int]:
        """Width and height of the whole picture when it stands upright; `upright` may be it at a smaller size."""
        if not isinstance(self._source, JpegImagePlugin.JpegImageFile):
            return upright.size
        width, height = self._whole_size
        return (height, width) if orientation.turn_of(self._source) in orientation.SIDEWAYS else (width, height)

    def decode(self) -> Image.Image:
        """Decode it, once, in the mode that it has; it may have to be turned upright.

        Raises:
            TooLarge: for more than MAX_PIXELS.
            Refusal: for kinds of samples that capcli does not know.
            Exception: of nearly every type, for a damaged file.
        """
        if self.pixels > MAX_PIXELS:
            width, height = self._whole_size
            raise TooLarge(f"has {width} x {height} pixels, capcli decodes {MAX_PIXELS:,}; scale it down")
        try:
            return self._decode()
        except Refusal:
            raise
        except Exception:
            mended = _mend(self._file)
            if mended is None:
                raise
            return Picture(mended, self._at_least)._decode()

    def _decode(self) -> Image.Image:
        source = self._source
        if isinstance(source, tiff.Page):
            return source.load()
        if isinstance(source, PngImagePlugin.PngImageFile):
            return png.decode(source, self._file)
        orientation.load(source)
        if source.format == "PSD" and source.mode == "RGBA" and not _is_transparent(self._file):
            return source.convert("RGB")
        return source.crop(self._crop) if self._crop else source


def open_picture(file: BinaryIO, at_least: int | None = None) -> Picture:
    """The picture in a file, as `Picture` takes it.

    A PNG or JPEG that has all its pixels is read though something beside them is broken.
    """
    try:
        return Picture(file, at_least)
    except Refusal:
        raise
    except Exception:
        mended = _mend(file)
        if mended is None:
            raise
        return Picture(mended, at_least)


def _mend(file: BinaryIO) -> BinaryIO | None:
    with suppress(Exception):  # where even that fails, the first error says more
        return png.mend(file) or jpeg.mend(file)
    return None


def _identify(file: BinaryIO) -> Source:
    start = file.read(64)
    file.seek(0)
    if not start:
        raise Refusal("is empty (0 bytes)")
    if start.startswith(jpeg.MAGIC):
        # Not Image.open: it refuses by the size in the file, before draft() can ask for less.
        return JpegImagePlugin.JpegImageFile(file)
    if start.startswith(png.MAGIC):
        # Nor here: it would not say what is wrong.
        return PngImagePlugin.PngImageFile(file)
    image: ImageFile.ImageFile | None
    try:
        image = Image.open(file)
    except Image.DecompressionBombError:
        raise TooLarge(f"has more than the {MAX_PIXELS:,} pixels capcli decodes; scale it down") from None
    except UnidentifiedImageError:
        image = None
    if start.startswith(tiff.MAGIC):
        return _page(file, image)
    if image is None and not _HEIF and _is_heic(start):
        raise Refusal('is a HEIC picture, which needs pillow-heif: pip install "capcli[heic]"')
    if image is None and start.startswith(b"8BPS"):
        raise Refusal("is a Photoshop file with more than 8 bits a channel or of a rare kind; export it as JPEG")
    if image is None or image.format in _REFUSED:
        raise Refusal(NO_PICTURE)
    return image


def _page(file: BinaryIO, image: ImageFile.ImageFile | None) -> Source:
    """The picture of a TIFF: by Pillow if it reads it rightly."""
    known = image if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    if known is not None and tiff.is_plain(known.tag_v2):
        return known
    file.seek(0)
    page = tiff.picture_of(file)
    if known is not None and page.number:
        with suppress(Exception):  # a page that Pillow does not know
            known.seek(page.number)
            if tiff.is_plain(known.tag_v2):
                return known
    return page


def _is_transparent(psd: BinaryIO) -> bool:
    """Whether the fourth channel of a PSD is its transparency, and not a selection that somebody saved."""
    place = psd.tell()
    psd.seek(26)
    for _ in range(2):  # palette and resources
        psd.seek(int.from_bytes(psd.read(4), "big"), os.SEEK_CUR)
    length, layers = int.from_bytes(psd.read(4), "big"), psd.read(6)[4:]
    psd.seek(place)
    return length > 0 and int.from_bytes(layers, "big", signed=True) < 0


def _is_heic(start: bytes) -> bool:
    # Not by the major brand alone: behind "mif1" HEIC and AVIF hide alike, and only the compatible brands tell.
    brands = start[8 : int.from_bytes(start[:4], "big")]
    return start[4:8] == b"ftyp" and any(brand in brands for brand in _HEIC_BRANDS)
