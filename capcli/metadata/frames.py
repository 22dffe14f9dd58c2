"""The decoded pixels of a picture, all frames and pages, as one hash."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, cast

from PIL import Image, ImageSequence, UnidentifiedImageError

from capcli.pictures.opening import open_picture


def hash_pixels(picture: bytes) -> str:
    """A hash of what decoders make of a file: size, mode, palette, profile and samples of every frame.

    Two files of one hash show the same everywhere. Metadata do not count, but for those that say how samples are shown.

    Raises:
        Exception: of nearly every type, where the picture cannot be decoded.
    """
    digest = hashlib.sha256()
    decoded = open_picture(cast(BinaryIO, io.BytesIO(picture))).decode()
    _add(digest, decoded)
    try:
        image = Image.open(io.BytesIO(picture))
    except UnidentifiedImageError:  # a TIFF that tifffile alone reads
        return digest.hexdigest()
    if getattr(image, "n_frames", 1) > 1:
        for frame in ImageSequence.Iterator(image):
            digest.update(repr(frame.info.get("duration")).encode())
            _add(digest, frame)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, image: Image.Image) -> None:
    digest.update(repr((image.mode, image.size, image.info.get("transparency"), image.getpalette())).encode())
    digest.update(image.info.get("icc_profile") or b"")
    digest.update(image.tobytes())
