"""Files that lie beside a model file and are of that model alone, such as `photos.keywords` of `photos.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from capcli.arrays import AnyArray, Float32Array
from capcli.errors import CapcliError, ModelError, UsageError, system_reason
from capcli.files.atomic import write_atomic
from capcli.modelfile.header import open_model_file
from capcli.modelfile.identity import identify_model


def write_beside(
    file: Path, ending: str, form: str, described: Mapping[str, object], tensors: Mapping[str, AnyArray]
) -> Path:
    """Writes a file beside that of a model, atomically.

    Args:
        file: of the model.
        ending: of the name, in the place of the model's.
        form: by which the file is known.
        described: plain values.
        tensors: by name.

    Returns:
        where it lies.

    Raises:
        CapcliError: if it cannot be written.
    """
    place = file.with_suffix(ending)
    metadata = {"format": form, "capcli": json.dumps({**described, "model": identify_model(file).sha256})}
    # safetensors writes the bytes as they lie, whatever the strides say.
    content = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata)
    try:
        write_atomic(place, content)
    except OSError as error:
        raise CapcliError(f"{place}: cannot be written ({system_reason(error)})") from None
    return place


def read_beside(
    file: Path, ending: str, form: str, contents: str, names: tuple[str, ...], *, optional: str | None = None
) -> tuple[dict[str, Any], list[Float32Array]]:
    """Reads what `write_beside` wrote.

    Args:
        file: of the model.
        ending: as it was written with.
        form: likewise.
        contents: of such a file, for messages.
        names: of the tensors.
        optional: the name of one more that may be there.

    Returns:
        the plain values and the tensors, in the order of the names, then the optional one if it is there; finite
        numbers all of them.

    Raises:
        ModelError: if the file cannot be used.
        UsageError: if it is of another model.
    """
    place = file.with_suffix(ending)
    with open_model_file(place, "numpy") as held:
        metadata = held.metadata() or {}
        if metadata.get("format") != form:
            raise ModelError(f"{place}: no {contents} of a model are in it")
        with using(place):
            described: dict[str, Any] = json.loads(metadata["capcli"])
            found = (*names, *({optional} & set(held.keys())))
            tensors = [held.get_tensor(name).astype(np.float32) for name in found]
            if not all(np.isfinite(tensor).all() for tensor in tensors):
                raise ValueError("its weights are not finite numbers")
            sha256 = described.get("model")
    if sha256 != identify_model(file).sha256:
        raise UsageError(
            f"{place} was fitted to another model than {file}; fit it again, remove it, or take the model it is of"
        )
    return described, tensors


@contextmanager
def using(place: Path) -> Iterator[None]:
    """What is wrong with the content of a file becomes a ModelError."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise ModelError(f"{place}: cannot be used ({error})") from None
