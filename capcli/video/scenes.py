"""Where a film's picture has changed, by the encoder's vectors."""

from __future__ import annotations

import numpy as np

from capcli.arrays import BoolArray, Float32Array


class Scenes:
    """Remembers the frame that was captioned last, and says which of the next ones show something else.

    The distance of two frames is one minus the cosine of their vectors, 0 to 2: 0 for equal pictures, about 1 for two
    that have nothing in common.

    Args:
        least: the distance from which on a frame shows something else; at 0 each does.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._last: Float32Array | None = None

    def find(self, vectors: Float32Array) -> BoolArray:
        """Which frames begin a scene.

        Args:
            vectors: B x D, of frames that follow each other and those of the call before.

        Returns:
            B booleans.
        """
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        begins = np.zeros(len(vectors), bool)
        for index, unit in enumerate(vectors / np.maximum(lengths, np.finfo(np.float32).tiny)):
            if self._last is None or 1 - float(unit @ self._last) >= self._least:
                begins[index], self._last = True, unit
        return begins
