"""Types of arrays, by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
Int8Array = npt.NDArray[np.int8]
IntArray = npt.NDArray[np.intp]
Int64Array = npt.NDArray[np.int64]
Float16Array = npt.NDArray[np.float16]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating]
"""Of any precision."""

AnyArray = npt.NDArray[Any]
"""Of numbers whose type a file or a user decides."""


def group_by_shape(arrays: Sequence[AnyArray]) -> list[list[int]]:
    """Places of the arrays that have one shape, shape by shape in the order in which they come."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, array in enumerate(arrays):
        places.setdefault(array.shape, []).append(place)
    return list(places.values())
