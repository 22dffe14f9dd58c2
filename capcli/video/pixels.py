"""One frame of a film as pixels: upright, RGB, in sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from capcli.pictures.profile import coded_profile
from capcli.pictures.samples import to_rgb
from capcli.video.turn import turn_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from capcli.arrays import UInt8Array

_BT709, _BT601 = 1, 5
_UNSPECIFIED = 2
_SCALING = 4 | 8192 | 262144
"""Bicubic, with exact rounding and colours at full width; swscale else moves colours to save a millisecond."""

_HIGH = 576
"""A film of more lines, or of more than 1,024 columns, that names no matrix is in BT.709's, as players have it."""

_WIDE = 1024


def to_square(frame: VideoFrame, size: int) -> UInt8Array:
    """A frame as a model takes it: squashed to a square as `capcli.pictures.read.to_array` does with photographs.

    Returns:
        uint8 array of shape (size, size, 3), upright and in sRGB, transparency on white.
    """
    # A square stays one when it is turned, so the few pixels are turned and not the many.
    return np.array(_upright(frame, size, size))


def to_picture(frame: VideoFrame, side: int, pixel: float = 1.0) -> Image.Image:
    """A frame for people: upright, in sRGB and in its own shape, its longer side at most `side` pixels.

    Args:
        frame: as it was decoded.
        side: in pixels.
        pixel: width of the frame's pixels over their height.
    """
    width, height = frame.width * pixel, frame.height
    scale = min(1.0, side / max(width, height))
    return _upright(frame, max(1, round(width * scale)), max(1, round(height * scale)))


def _upright(frame: VideoFrame, width: int, height: int) -> Image.Image:
    picture = _rgb(frame, width, height)
    turn = turn_of(frame)
    return picture if turn is None else picture.transpose(turn)


def _rgb(frame: VideoFrame, width: int, height: int) -> Image.Image:
    """The frame in sRGB, scaled, not turned."""
    profile = coded_profile(int(frame.color_primaries), int(frame.color_trc))
    # Eight bits are too few before a profile of high dynamic range is applied.
    deep = profile is not None and any(part.bits > 8 for part in frame.format.components)
    alpha = any(part.is_alpha for part in frame.format.components)
    form = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
    samples = frame.reformat(width, height, form, src_colorspace=_matrix(frame), interpolation=_SCALING).to_ndarray()
    white = 65535 if deep else 255
    picture = to_rgb(samples[..., :3], 0, white, profile)
    if not alpha:
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=Image.fromarray((samples[..., 3] * (255 / white)).astype(np.uint8)))
    return ground


def _matrix(frame: VideoFrame) -> int | None:
    """What takes luma and chroma to RGB where the frame does not say so itself."""
    if int(frame.colorspace) != _UNSPECIFIED:
        return None
    return _BT709 if frame.height > _HIGH or frame.width > _WIDE else _BT601
