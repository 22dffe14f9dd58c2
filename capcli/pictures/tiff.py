"""Pages of TIFF files that Pillow does not read, or reads as something else than they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from PIL import ExifTags, Image

from capcli.arrays import AnyArray
from capcli.pictures.refusal import Refusal
from capcli.pictures.samples import range_of, to_bytes, to_rgb

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_REDUCED, _MASK = 1, 4
_MOST_PAGES = 64
"""Pages among which the picture is looked for where the first is only a small copy of it."""

_MOST_BYTES = 2**30
"""Of samples in memory at once."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_OF_SENSORS = (32803, 34892)
_ASSOCIATED, _UNASSOCIATED = 1, 2
_JPEG = 7

# What tifffile remarks on a file is either harmless or becomes the reason why the file is not read.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def is_plain(tags: Mapping[int, Any]) -> bool:
    """Whether Pillow, which could open a page with these tags, also reads it rightly.

    It does where samples are unsigned and have at most 8 bits, and transparency does not lie apart. Of more bits it
    knows some kinds only, and takes others for these. A page that says it is a small copy of another, or a mask, is
    not plain either.
    """
    bits, formats = _many(tags.get(258, 1)), _many(tags.get(339, 1))
    if max(bits) > 8 or not set(formats) <= {1, 4} or (tags.get(284) == 2 and 338 in tags):
        return False
    if _is_secondary(tags.get(254, 0), tags.get(255, 0)):
        return False
    # Some programs wrote palettes of bytes in the place of words.
    return tags.get(262) != _PALETTE or max(_many(tags.get(320, 0))) > 255


def picture_of(file: BinaryIO) -> Page:
    """The page of a TIFF that is its picture.

    This is the first page, unless it says of itself that it is a small copy (a thumbnail) or a mask. Then it is the
    first page, or page within a page, that is neither, if there is any. Pages that say nothing count as pages of a
    document, whatever their size.

    Raises:
        Refusal: for the raw data of a camera.
        Exception: of nearly every type, for a damaged file.
    """
    from tifffile import TiffFile

    first: Page | None = None
    for number, page in islice(_pages(TiffFile(file)), _MOST_PAGES):
        if not _is_secondary(_value(page, 254, 0), _value(page, 255, 0)):
            if page.photometric in _OF_SENSORS:
                raise Refusal("is the raw data of a camera; export it as JPEG")
            return Page(page, number)
        first = first or Page(page, number)
    if first is None:
        raise Refusal("has no pages")
    return first


class Page:
    """A page whose pixels are still in the file.

    Attributes:
        size: width and height in pixels, as they are stored.
        number: its place in the file, or None for a page within a page.
    """

    def __init__(self, page: TiffPage, number: int | None) -> None:
        self._page = page
        self.number = number
        self.size = (page.imagewidth, page.imagelength)

    def load(self) -> Image.Image:
        """Decode it to RGB, RGBA, CMYK or LAB, with its orientation as EXIF; RGB and RGBA are in sRGB by then.

        Raises:
            Refusal: for kinds of samples that capcli does not know.
            Exception: of nearly every type, for a damaged file.
        """
        image = self._decode()
        orientation = _value(self._page, ExifTags.Base.Orientation, 1)
        if orientation != 1:
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            image.info["exif"] = exif.tobytes()
        return image

    def _decode(self) -> Image.Image:
        page = self._page
        if page.nbytes > _MOST_BYTES:
            raise Refusal(f"takes {page.nbytes:,} bytes of memory, capcli takes {_MOST_BYTES:,}; scale it down")
        size = page.parent.filehandle.size
        if any(at + count > size for at, count in zip(page.dataoffsets, page.databytecounts, strict=False)):
            raise Refusal("is truncated")
        samples = _channels_last(page)
        if samples.dtype.kind not in "buif":
            raise Refusal(f"has samples of type {samples.dtype}, which make no picture")
        icc_profile = _value(page, 34675, None)
        profile = icc_profile if isinstance(icc_profile, bytes) else None
        photometric = int(page.photometric)
        bits = page.bitspersample
        if photometric in (_CIELAB, _ICCLAB):
            return _lab(samples, signed=photometric == _CIELAB)
        if photometric == _SEPARATED:
            return _cmyk(samples, bits, profile)
        if photometric == _PALETTE:
            colours = np.asarray(page.colormap)
            scale = 255 if colours.max(initial=0) < 256 else 65535
            return to_rgb(colours.T[samples[..., 0]], 0, scale, profile)
        # A JPEG is RGB by now, whatever it was.
        is_grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
        if not (is_grey or photometric == _RGB or (photometric == _YCBCR and page.compression == _JPEG)):
            raise Refusal(f"is a TIFF of a kind that capcli does not know (photometric {photometric})")
        # Three samples that are said to be grey are three channels.
        channels = 1 if is_grey and samples.shape[2] < 3 else 3
        if samples.shape[2] < channels:
            raise Refusal(f"has {samples.shape[2]} channels, which make no colour")
        colour = samples[..., :channels] if channels == 3 else samples[..., 0]
        black, white = range_of(colour, bits)
        kind = _kind_of_alpha(page, channels)
        alpha = samples[..., channels] if kind is not None else None
        if alpha is not None and kind == _ASSOCIATED:
            colour = _apart(colour, alpha, range_of(alpha, bits)[1])
        if photometric == _WHITE_IS_ZERO:
            black, white = white, black
        image = to_rgb(colour, black, white, profile)
        if alpha is not None:
            image.putalpha(Image.fromarray(to_bytes(alpha, *range_of(alpha, bits))))
        return image


def _pages(file: TiffFile) -> Iterator[tuple[int | None, TiffPage]]:
    # tifffile gives frames, its other kind of pages, only where one asks for them.
    for number, page in enumerate(cast("Iterable[TiffPage]", file.pages)):
        yield number, page
        for inner in cast("Iterable[TiffPage]", page.pages or ()):
            yield None, inner


def _is_secondary(kind: Any, old_kind: Any) -> bool:
    return bool(int(kind) & (_REDUCED | _MASK)) or old_kind == 2


def _kind_of_alpha(page: TiffPage, channels: int) -> int | None:
    """What the channel behind the colours is, or None where it is no transparency."""
    if page.samplesperpixel <= channels:
        return None
    if not page.extrasamples:  # of which nothing is said; other programs take the fourth of RGB for it
        return _UNASSOCIATED if page.photometric == _RGB and page.samplesperpixel == 4 else None
    kind = int(page.extrasamples[0])
    return kind if kind in (_ASSOCIATED, _UNASSOCIATED) else None


def _channels_last(page: TiffPage) -> AnyArray:
    """The samples, height x width x channels."""
    samples = page.asarray(maxworkers=1)
    axes = page.axes
    while (extra := next((axis for axis in axes if axis not in "YXS"), None)) is not None:
        samples = samples.take(0, axes.index(extra))  # the first plane of a volume
        axes = axes.replace(extra, "", 1)
    if "S" not in axes:
        samples, axes = samples[..., None], axes + "S"
    return np.moveaxis(samples, [axes.index(axis) for axis in "YXS"], (0, 1, 2))


def _apart(colour: AnyArray, alpha: AnyArray, opaque: float) -> AnyArray:
    """Colours that were multiplied by their alpha, as they were before."""
    share = np.clip(alpha.astype(np.float32) / np.float32(opaque), 1e-6, 1)
    apart: AnyArray = colour / (share[..., None] if colour.ndim == 3 else share)
    return apart if colour.dtype.kind == "f" else np.minimum(apart, np.iinfo(colour.dtype).max).astype(colour.dtype)


def _cmyk(samples: AnyArray, bits: int, profile: bytes | None) -> Image.Image:
    if samples.shape[2] < 4:
        raise Refusal(f"has {samples.shape[2]} inks, which make no colour that capcli knows")
    inks = samples[..., :4]
    scaled = to_bytes(inks, *range_of(inks, bits))
    image = Image.frombytes("CMYK", (scaled.shape[1], scaled.shape[0]), scaled.tobytes())
    if profile:
        image.info["icc_profile"] = profile
    return image


def _lab(samples: AnyArray, *, signed: bool) -> Image.Image:
    if samples.dtype.itemsize > 2 or samples.shape[2] < 3:
        raise Refusal("has Lab colours of a kind that capcli does not know")
    steps = 1 if samples.dtype.itemsize == 1 else 256
    unsigned = samples.view(f"u{samples.dtype.itemsize}")
    light = to_bytes(unsigned[..., 0], *range_of(unsigned))
    hues = (unsigned[..., 1:3] // steps).astype(np.uint8)
    # Pillow wants a and b as the older of both kinds has them: signed.
    scaled = np.dstack([light, hues if signed else hues ^ 128])
    return Image.frombytes("LAB", (scaled.shape[1], scaled.shape[0]), scaled.tobytes())


def _value(page: TiffPage, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    value = tag.value if tag is not None else None
    return default if value is None else value


def _many(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
