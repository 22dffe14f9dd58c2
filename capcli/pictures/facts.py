"""What a library remembers of a picture beside its caption: its file, its size, when it was taken, and its pixels."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from PIL import ExifTags, Image

_MOMENT = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Facts:
    """A picture as it was when it was read.

    Attributes:
        size: of the file in bytes.
        mtime: when the file was changed last, nanoseconds since 1970.
        width: of the upright picture in pixels.
        height: of the upright picture in pixels.
        taken: when the camera took it, such as `2019-07-04T12:30:05` by the camera's own clock, or None.
        pixels: a hash that tells whether two pictures have the same pixels, see `hash_pixels`; hexadecimal.
    """

    size: int
    mtime: int
    width: int
    height: int
    taken: str | None
    pixels: str

    def encode(self) -> bytes:
        """All of it as bytes, for another process."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes) -> Facts:
        """Reads what `encode` gave."""
        return cls(**json.loads(content))


def hash_pixels(picture: Image.Image) -> str:
    """A hash of a picture's size and samples, 32 hexadecimal digits.

    It is taken of the upright RGB picture as it was decoded for the model. That is the whole picture, but for a large
    JPEG a half, a quarter or an eighth of it: see `capcli.pictures.read.read_array`. So it is the same for the same
    pixels wherever the file lies and whatever its metadata say, as long as the model's input has the same size.
    """
    digest = hashlib.blake2b(f"{picture.width} {picture.height} ".encode(), digest_size=16)
    digest.update(picture.tobytes())
    return digest.hexdigest()


def read_time_taken(picture: Image.Image) -> str | None:
    """When a decoded picture was taken, as its EXIF says, or None."""
    try:
        details = picture.getexif().get_ifd(ExifTags.IFD.Exif)
    except Exception:  # damaged EXIF does not make the pixels worse
        return None
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        if found := _MOMENT.match(str(details.get(tag))):
            year, month, day, hour, minute, second = map(int, found.groups())
            with suppress(ValueError):  # cameras without a date write one of zeros
                return datetime(year, month, day, hour, minute, second).isoformat()
    return None
