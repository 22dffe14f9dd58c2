"""What a model file says of itself, read in no time: its metadata, and names, types and shapes of its tensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from capcli.errors import ModelError

FORMAT = "capcli 1"

SCALE = ".scale"
"""What follows the name of an int8 weight in the name of its scales."""

KEPT = ".kept"
"""What follows the name of a pruned weight in the name of the bits that say which of its numbers are in the file."""


@dataclass(frozen=True)
class Header:
    """What stands before the weights.

    Attributes:
        described: the model's config, vocabulary, decoding options, recipe and scores, as plain values; what a
            stranger wrote there is unchecked but for being an object.
        tensors: type, such as "F16", and shape of every tensor by name.
    """

    described: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]]

    @property
    def held_out(self) -> float:
        """The share, 0 to 1, of a data set without a dev split that no training of the model saw, nor of those that it
        goes back to; older files have it in their recipe alone.
        """
        data = self.described["recipe"].get("data")
        share = self.described.get("held_out", data.get("hold_out") if isinstance(data, dict) else None)
        return float(share) if isinstance(share, (int, float)) and 0 <= share < 1 else 0.0


def is_text(path: Path) -> bool:
    """Whether a path is text in UTF-8, as safetensors has it; elsewhere it may be any bytes."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def open_model_file(path: Path, framework: str) -> Iterator[Any]:
    """Opens a safetensors file; what goes wrong with it inside of the block becomes a ModelError too."""
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    if not is_text(path):
        raise ModelError(f"{path}: is no UTF-8, and safetensors opens nothing else; give it another name")
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); download or copy it again") from None


def read_header(path: str | Path) -> Header:
    """Reads the header of a model file without torch; the weights are neither read nor checked.

    Raises:
        ModelError: if the file is missing, truncated or of another program.
    """
    path = Path(path)
    with open_model_file(path, "numpy") as file:
        return Header(read_description(path, file.metadata() or {}), tensor_types(file))


def tensor_types(file: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor of an open safetensors file."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    return {name: (tensor.get_dtype(), tuple(tensor.get_shape())) for name, tensor in slices.items()}


def read_description(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Reads what the metadata of a model file hold; raises ModelError for those of another program."""
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path}: not a capcli model; `capcli train` makes them, and 'base' is the one that ships")
    try:
        described = json.loads(metadata["capcli"])
        if not isinstance(described, dict):
            raise TypeError("no JSON object")
        for part in ("recipe", "scores", "origin"):  # older files lack some of them
            if not isinstance(described.setdefault(part, {}), dict):
                raise TypeError(f"its {part} is no JSON object")
        if not isinstance(described.setdefault("left_out", 0), int):  # all but pruned models lack it
            raise TypeError("the number of zeros that it leaves out is none")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: its description is broken ({error})") from None
    return described
