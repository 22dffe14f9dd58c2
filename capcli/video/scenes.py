"""Where a film's picture has changed, by the encoder's vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from capcli.arrays import BoolArray, Float32Array, UInt8Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capcli.caption import Caption
    from capcli.decoding.options import DecodingOptions


class Seer(Protocol):
    """What a film is captioned with; a `Captioner` is one."""

    @property
    def size(self) -> int: ...

    def encode(self, arrays: UInt8Array) -> Any: ...

    def decode(self, regions: Any, options: DecodingOptions | None = None) -> Sequence[Caption]: ...


class Scenes:
    """Remembers the frame that was captioned last, and says which of the next ones show something else.

    A frame's vector is the mean of its regions. The distance of two is one minus their cosine, 0 to 2: 0 for equal
    pictures, about 1 for two that have nothing in common.

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


def look(captioner: Seer, arrays: UInt8Array) -> tuple[Any, Float32Array]:
    """The regions of frames, uint8 B x S x S x 3, as `decode` takes them, and the frames' vectors B x D."""
    regions = captioner.encode(arrays)
    return regions, regions.float().mean(1).cpu().numpy()
