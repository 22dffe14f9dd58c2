"""How a picture must be turned to stand upright."""

from __future__ import annotations

from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))
"""Turns that exchange width and height."""

_XMP = ("xmp", "XML:com.adobe.xmp")


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What brings the picture upright by its EXIF, as far as is known before it is loaded.

    EXIF alone decides, as in browsers. XMP may name an orientation too, but programs leave it there when they turn the
    pixels.
    """
    try:
        # Not the method of PNG's own, which would decode the picture to look for more behind its pixels.
        turn = _TURNS.get(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
        if turn is not None and any(key in image.info for key in _XMP):
            alone = Image.Image()
            alone.info = {key: value for key, value in image.info.items() if key not in _XMP}
            turn = _TURNS.get(alone.getexif().get(ExifTags.Base.Orientation, 1))
        return turn
    except Exception:  # damaged EXIF does not make the pixels worse
        return None


def load(image: Image.Image) -> None:
    """Decode a picture, of which none is turned by its XMP on the way (Pillow does that to TIFF)."""
    hidden = {key: image.info.pop(key) for key in _XMP if key in image.info}
    try:
        image.load()
    finally:
        image.info.update(hidden)
