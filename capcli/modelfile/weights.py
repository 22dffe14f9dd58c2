"""The weights of a model file as arrays, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from capcli.arrays import AnyArray, Float32Array, UInt8Array
from capcli.errors import ModelError
from capcli.modelfile.fitting import check_fit
from capcli.modelfile.header import KEPT, SCALE, open_model_file, read_description, tensor_types


class NotFinite(ModelError):  # noqa: N818 - says what the weights are
    """A model file whole but for weights that are infinite or not numbers."""


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Float32Array]:
    """The weights of a model file, all in float32, checked as `Checkpoint.load` does.

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
        # To make float32 of float16 takes longer than all else here, and lets other threads do so, too.
        with ThreadPoolExecutor() as pool:
            read = pool.map(lambda name: _read(path, file, name, shapes[name], present), shapes)
            weights = dict(zip(shapes, read, strict=True))
    # In float64 no sum of finite float32 numbers is too large.
    if not all(math.isfinite(weight.sum(dtype=np.float64)) for weight in weights.values()):
        raise NotFinite(f"{path}: holds weights that are not finite numbers; train it again")
    return weights


def _read(path: Path, file: Any, name: str, shape: tuple[int, ...], present: Mapping[str, object]) -> Float32Array:
    values: AnyArray = file.get_tensor(name)
    if name + KEPT in present:
        try:
            values = restore(values, file.get_tensor(name + KEPT), shape)
        except ValueError as error:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r}: {error}") from None
    whole: Float32Array = values.astype(np.float32)
    if name + SCALE in present:
        whole *= file.get_tensor(name + SCALE).reshape(-1, *[1] * (len(shape) - 1))
    return whole


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
