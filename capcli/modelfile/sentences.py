"""The part of a model file that a query in words needs, read without torch and without the rest of the file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from capcli.errors import ModelError, UsageError
from capcli.model.matcher_config import MatcherConfig
from capcli.model.sentence_encoder import SentenceEncoder, weight_shapes
from capcli.modelfile.header import KEPT, SCALE, open_model_file, read_description, tensor_types
from capcli.modelfile.shipped import find_model
from capcli.modelfile.weights import restore
from capcli.options import build
from capcli.words.vocabulary import Vocabulary

if TYPE_CHECKING:
    from capcli.arrays import FloatArray

_KINDS = ("F16", "F32")


def read_sentence_encoder(model: str | Path) -> SentenceEncoder | None:
    """What a model given by name or by path makes of sentences; None where it has no matcher, and where NumPy has no
    numbers of the file's type (bfloat16).

    One process reads the same file once.

    Raises:
        ModelError: if there is no such model, or its file cannot be used.
    """
    file = find_model(model)
    state = file.stat()
    return _read(file, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read(path: Path, *state: int) -> SentenceEncoder | None:
    with open_model_file(path, "numpy") as file:
        described = read_description(path, file.metadata() or {})
        if described.get("matcher") is None:
            return None
        try:
            vocabulary = Vocabulary(described["vocabulary"])
            config = build(MatcherConfig, described["matcher"], "matcher")
            shapes = {f"matcher.{name}": shape for name, shape in weight_shapes(config, len(vocabulary)).items()}
            types = tensor_types(file)
            if any(types[name][0] == "BF16" for name in shapes):
                return None
            weights = {name: _tensor(file, name, shape, types) for name, shape in shapes.items()}
        except KeyError as error:
            raise ModelError(f"{path}: its matcher cannot be used (it lacks {error})") from None
        except (TypeError, ValueError, AttributeError, UsageError) as error:
            raise ModelError(f"{path}: its matcher cannot be used ({error})") from None
    return SentenceEncoder(
        config, vocabulary, {name.removeprefix("matcher."): weight for name, weight in weights.items()}
    )


def _tensor(file: Any, name: str, shape: tuple[int, ...], types: dict[str, tuple[str, tuple[int, ...]]]) -> FloatArray:
    """A weight of an open file, whole; raises ValueError unless it has the shape and is of finite numbers."""
    kind, held = types[name]
    if kind not in _KINDS and not (kind == "I8" and name + SCALE in types):
        raise ValueError(f"{name!r} is of type {kind}")
    if held != shape and name + KEPT not in types:
        raise ValueError(f"{name!r} is {held}, not {shape}")
    tensor = file.get_tensor(name)
    if name + KEPT in types:
        tensor = restore(tensor, file.get_tensor(name + KEPT), shape)
    if name + SCALE in types:
        tensor = tensor.astype(np.float32) * file.get_tensor(name + SCALE).reshape(-1, *[1] * (tensor.ndim - 1))
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name!r} holds weights that are not finite numbers")
    whole: FloatArray = tensor
    return whole
