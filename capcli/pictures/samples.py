"""Samples of more than eight bits, and floats: to RGB of eight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from capcli.arrays import AnyArray, Float32Array, UInt8Array
from capcli.pictures.colour import space_of, transform_of

_AT_ONCE = 2**22
"""Pixels that are converted at once, so that their floats take little memory."""


def range_of(samples: AnyArray, bits: int | None = None) -> tuple[float, float]:
    """The samples of black and of white.

    Unsigned ones go from 0 to the most that their bits hold. Signed ones have no such end: they go from the lowest to
    the highest that there is. Of floats, 1 is white and what is above it is white too, unless more than half of those
    above 0 are above 1: then 255 is white, or the highest where it is above 255.

    Args:
        samples: of one picture, without its transparency.
        bits: of a sample, where they are fewer than its type has.
    """
    if samples.dtype.kind == "b":
        return 0, 1
    if samples.dtype.kind == "u":
        return 0, 2 ** (bits or 8 * samples.dtype.itemsize) - 1
    if samples.dtype.kind == "i":
        black, white = float(samples.min()), float(samples.max())
        return black, max(white, black + 1)
    lit = above = 0
    highest = 0.0
    for rows in _bands(samples):
        known = samples[rows]
        known = known[np.isfinite(known) & (known > 0)]
        lit += known.size
        above += int((known > 1).sum())
        highest = max(highest, float(known.max(initial=0)))
    return 0, max(255.0, highest) if 2 * above > lit else 1


def to_bytes(samples: AnyArray, black: float, white: float) -> UInt8Array:
    """Scale samples, height x width (x channels), to uint8: `black` to 0 and `white` to 255, NaN to 0."""
    scaled = np.empty(samples.shape, np.uint8)
    for rows in _bands(samples):
        scaled[rows] = np.rint(_levels(samples[rows], black, white))
    return scaled


def to_rgb(samples: AnyArray, black: float, white: float, profile: bytes | None = None) -> Image.Image:
    """Make a picture of samples RGB in sRGB.

    Args:
        samples: height x width of grey, or height x width x 3 of RGB, in any numeric type.
        black: sample of no light; above `white` where the least sample is white.
        white: sample of full light.
        profile: ICC profile of the samples; it counts as `capcli.pictures.colour.to_srgb` has it.
    """
    grey = samples.ndim == 2
    expands = profile is not None and grey and space_of(profile) == "RGB "
    transform = transform_of(profile, "RGB" if expands else "L" if grey else "RGB") if profile is not None else None
    if transform is None:
        return Image.fromarray(to_bytes(samples, black, white)).convert("RGB")

    def seen(levels: Float32Array) -> Float32Array:
        picture = Image.fromarray(levels.astype(np.uint8))
        return np.asarray(transform.apply(picture.convert("RGB") if expands else picture), np.float32)

    scaled = np.empty((*samples.shape[:2], 3), np.uint8)
    for rows in _bands(samples):
        # Profiles are applied to bytes. Between two of them the colour is drawn out, else shadows of linear samples
        # would fall into steps.
        levels = _levels(samples[rows], black, white)
        below = np.floor(levels)
        share = (levels - below)[..., None] if grey else levels - below
        lower = seen(below)
        scaled[rows] = np.rint(lower + share * (seen(np.minimum(below + 1, 255)) - lower))
    return Image.fromarray(scaled)


def _levels(samples: AnyArray, black: float, white: float) -> Float32Array:
    with np.errstate(over="ignore", invalid="ignore"):  # of floats beyond float32, and of infinities
        levels = (samples.astype(np.float32) - np.float32(black)) * np.float32(255 / (white - black))
    clipped: Float32Array = np.clip(np.nan_to_num(levels, copy=False), 0, 255)
    return clipped


def _bands(samples: AnyArray) -> Iterator[slice]:
    """The rows of a picture, as many at once as are converted at once."""
    height, width = samples.shape[:2]
    step = max(1, _AT_ONCE // max(1, width))
    return (slice(start, start + step) for start in range(0, height, step))
