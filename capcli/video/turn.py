"""How a frame must be turned to stand upright, by the matrix that its film carries."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_MATRIX = struct.Struct("<9i")

_TURNS: dict[tuple[int, int, int, int], Image.Transpose | None] = {
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""By a, b, c, d of the matrix of ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y, where y grows downwards."""


def turn_of(frame: VideoFrame) -> Image.Transpose | None:
    """What brings a frame upright; None where it stands so. Other angles count as the nearest right one."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    matrix = b"" if data is None else bytes(data)
    if len(matrix) < _MATRIX.size:
        return None
    a, b, _, c, d, *_ = _MATRIX.unpack_from(matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _TURNS.get((int(np.sign(a)), 0, 0, int(np.sign(d))))
    return _TURNS.get((0, int(np.sign(b)), int(np.sign(c)), 0))
