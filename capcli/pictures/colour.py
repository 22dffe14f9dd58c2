"""Colours: from the profile that a picture carries to sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from capcli.pictures.profile import SRGB, coded_profile, rgb_profile

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

_GREY = ("1", "L", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK", "LAB": "Lab "}
_SAME = 2
"""Pixels that a profile moves by no more levels than this are in sRGB already."""

_USUAL_GAMMA = 1 / 2.2
"""A PNG's gAMA of what was made for screens, which sRGB describes."""


def to_srgb(image: Image.Image) -> Image.Image:
    """Make an opaque picture of 8-bit samples RGB in sRGB, by the profile that it carries.

    A profile that is broken, or for other pixels than these, such as one for CMYK in an RGB picture, does not count:
    the pixels are then taken as they are. So do pictures of sRGB and those without a profile; an RGB one of these
    comes back as it is.
    """
    profile = profile_of(image)
    mode = "L" if image.mode in _GREY else image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    if profile is not None and mode == "L" and space_of(profile) == "RGB ":
        mode = "RGB"
    plain = image if mode in ("CMYK", "LAB") or image.mode == mode else image.convert(mode)
    transform = None if profile is None else transform_of(profile, mode)
    if transform is not None:
        return transform.apply(plain)
    return plain if plain.mode == "RGB" else plain.convert("RGB")


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile that says what a picture's samples mean, or None where nothing does: then they are sRGB.

    In the place of a profile a HEIC may give code points, and a PNG a gamma and primaries; where it names sRGB, neither
    of these counts.
    """
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    if "srgb" in image.info:
        return None
    codes = image.info.get("nclx_profile")
    if isinstance(codes, dict):
        return coded_profile(codes.get("color_primaries", 2), codes.get("transfer_characteristics", 2))
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or gamma <= 0:
        return None
    values = image.info.get("chromaticity")
    points = (
        (values[:2], values[2:4], values[4:6], values[6:8]) if isinstance(values, tuple) and len(values) == 8 else SRGB
    )
    known = np.abs(np.subtract(points, SRGB)).max() < 0.005
    if known and abs(gamma / _USUAL_GAMMA - 1) < 0.05:
        return None
    return rgb_profile(points, 1 / gamma)


@lru_cache(maxsize=32)
def transform_of(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """What takes 8-bit pixels of a mode (L, RGB, CMYK or LAB) to RGB in sRGB.

    Returns:
        None where they are in sRGB already, or the profile is broken or not for such pixels.
    """
    from PIL import ImageCms

    source = _parsed(profile)
    if source is None or source.profile.xcolor_space != _SPACES[mode]:
        return None
    try:
        # The intent matters to tables alone, such as those for CMYK, and this one is the usual of viewers.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        # The shadows of grey would be up to ten levels off where LittleCMS saves time.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", intent, flags)
        probe = _probe(mode)
        converted = np.asarray(transform.apply(probe), int)
    except Exception:  # LittleCMS finds many things wrong with profiles, and Pillow hands them on in many types
        return None
    if np.ptp(converted) < 64:  # all colours are one: the profile's tables are broken
        return None
    if mode in ("L", "RGB") and np.abs(converted - np.asarray(probe.convert("RGB"), int)).max() <= _SAME:
        return None
    return transform


@lru_cache(maxsize=32)
def space_of(profile: bytes) -> str | None:
    """The colour space whose samples a profile describes, four letters such as "GRAY" or "RGB "; None if broken."""
    parsed = _parsed(profile)
    return parsed.profile.xcolor_space if parsed is not None else None


def _parsed(profile: bytes) -> ImageCmsProfile | None:
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(BytesIO(profile))
    except Exception:  # as above
        return None


@lru_cache(maxsize=1)
def _srgb() -> ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _probe(mode: str) -> Image.Image:
    """A picture of colours from all over the space."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    channels = len(mode) if mode != "LAB" else 3
    steps = np.linspace(0, 255, 9 if channels == 3 else 5).astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    return Image.frombytes(mode, (colours.shape[1], 1), colours.tobytes())
