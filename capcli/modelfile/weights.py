"""The weights of a model file as arrays, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capcli.arrays import AnyArray, Float32Array, UInt8Array
from capcli.errors import ModelError
from capcli.modelfile.fitting import check_fit
from capcli.modelfile.header import KEPT, SCALE, open_model_file, read_description, tensor_types

_LARGEST = 128
"""Size of the numbers that int8 holds, at most."""


class NotFinite(ModelError):  # noqa: N818 - says what the weights are
    """A model file whole but for weights that are infinite or not numbers."""


@dataclass(frozen=True)
class _Stored:
    """What a file holds of one weight: its numbers, and for int8 their scale, for a pruned one which are not zero."""

    values: AnyArray
    shape: tuple[int, ...]
    scale: AnyArray | None = None
    kept: UInt8Array | None = None

    @property
    def finite(self) -> bool:
        if self.scale is None:
            return bool(np.isfinite(self.values).all())
        with np.errstate(over="ignore"):
            return bool(np.isfinite(self.scale * np.float32(_LARGEST)).all())

    def whole(self) -> Float32Array:
        """Raises ValueError where the parts do not fit together."""
        values = self.values if self.kept is None else restore(self.values, self.kept, self.shape)
        weight: Float32Array = values.astype(np.float32, copy=False)
        return weight if self.scale is None else weight * self.scale.reshape(-1, *[1] * (len(self.shape) - 1))


class Weights(Mapping[str, Float32Array]):
    """The weights of a model by name.

    They are held as the file stores them, and one is made float32 each time it is asked for: who computes packs them in
    ways of its own, and all of them in float32 beside that would be the largest part of what captioning has in memory.
    """

    def __init__(self, stored: Mapping[str, _Stored]) -> None:
        self._stored = stored

    def __getitem__(self, name: str) -> Float32Array:
        return self._stored[name].whole()

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """The weights of a model file, checked as `Checkpoint.load` does.

    Args:
        path: of the file; it holds no bfloat16, which numpy does not know.
        shapes: of the config, by name.

    Raises:
        ModelError: if the tensors do not fit.
        NotFinite: the kind of ModelError for weights that fit and are no numbers.
    """
    with open_model_file(path, "numpy") as file:
        present = tensor_types(file)
        check_fit(path, shapes, present, read_description(path, file.metadata() or {}))
        with ThreadPoolExecutor() as pool:
            read = pool.map(lambda name: _read(path, file, name, shapes[name], present), shapes)
            stored = dict(zip(shapes, read, strict=True))
    return Weights(stored)


def _read(path: Path, file: Any, name: str, shape: tuple[int, ...], present: Mapping[str, object]) -> _Stored:
    beside = (file.get_tensor(name + part) if name + part in present else None for part in (SCALE, KEPT))
    stored = _Stored(file.get_tensor(name), shape, *beside)
    if not stored.finite:
        raise NotFinite(f"{path}: holds weights that are not finite numbers; train it again")
    if stored.kept is not None:
        try:
            stored.whole()
        except ValueError as error:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r}: {error}") from None
    return stored


def restore(values: AnyArray, bits: UInt8Array, shape: tuple[int, ...]) -> AnyArray:
    """The array of a shape that `pruning.pack` took apart, zeros being what was not kept.

    Raises:
        ValueError: if the bits do not count as many numbers as there are, or say something of more than the shape has.
    """
    flat = np.unpackbits(bits, bitorder="little")
    whole = np.zeros(math.prod(shape), values.dtype)
    kept = int(flat.sum(dtype=np.int64))
    if flat[whole.size :].any() or kept != len(values):
        raise ValueError(f"its bits tell {kept:,} numbers, and there are {len(values):,}")
    whole[flat[: whole.size].astype(bool)] = values
    return whole.reshape(shape)
