"""The graphs of a model for ONNX Runtime: what is computed, without the weights.

Models of the same architecture have the same graphs. They are made once, with torch, and kept in a file whose name
gives the architecture: beside the shipped models for those, in the user's cache for others. The weights are those of
the model file; no graph comes from there, since a graph of a stranger's is a program.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.files.atomic import write_atomic
from capcli.modelfile.shipped import shipped_folders

OPSET = 17
"""Of ONNX, in which the graphs are written."""

VERSION = 2
"""Rises when graphs of the same architecture change."""


SUFFIX = ".graphs"
"""Of the files that hold graphs."""


@dataclass(frozen=True)
class Leaf:
    """One array of a decoder's state.

    Attributes:
        name: in the graphs; the step gives it anew as `next_` and the name.
        axis: of its rows; None for one that all rows share.
        spread: whether it has a row for each caption, and not only for each picture.
        changes: whether a step changes it.
        moving: the axes whose length differs from step to step and from batch to batch.
    """

    name: str
    axis: int | None
    spread: bool
    changes: bool
    moving: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """One ONNX file without weights, and the names of those that it needs."""

    content: bytes
    weights: list[str]


@dataclass(frozen=True)
class Graphs:
    """All that ONNX Runtime needs to know of a model beside its weights.

    Attributes:
        parts: `encoder`, `start`, `step`, and `matcher` where the model has one.
        leaves: the state that `start` gives and `step` takes.
        size: as `Captioner.size`; so are `grid`, `box` and `heads`.
        longest: the longest caption in words.
        tells: what a step gives beside log-probabilities: `attention`, `sentinel`.
        shapes: of every weight, by its name in the model file.
    """

    parts: Mapping[str, Graph]
    leaves: list[Leaf]
    size: int
    grid: tuple[int, int]
    box: tuple[float, float, float, float]
    heads: tuple[int, int]
    longest: int
    tells: list[str]
    shapes: Mapping[str, tuple[int, ...]]

    def to_bytes(self) -> bytes:
        """A ZIP archive, the same bytes for the same graphs."""
        facts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "parts"}
        facts["leaves"] = [dataclasses.asdict(leaf) for leaf in self.leaves]
        facts["weights"] = {name: part.weights for name, part in self.parts.items()}
        content = {f"{name}.onnx": part.content for name, part in self.parts.items()}
        content["facts.json"] = json.dumps(facts).encode()
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, entry in content.items():
                archive.writestr(zipfile.ZipInfo(name), entry, zipfile.ZIP_DEFLATED)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Graphs:
        """What `to_bytes` gave; raises ValueError for anything else."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                held = {name: archive.read(name) for name in archive.namelist()}
            facts: dict[str, Any] = json.loads(held.pop("facts.json"))
            leaves = [Leaf(**{**leaf, "moving": tuple(leaf["moving"])}) for leaf in facts.pop("leaves")]
            shapes = {name: tuple(shape) for name, shape in facts.pop("shapes").items()}
            placed: dict[str, Any] = {name: tuple(facts.pop(name)) for name in ("grid", "box", "heads")}
            parts = {name: Graph(held[f"{name}.onnx"], weights) for name, weights in facts.pop("weights").items()}
            return cls(parts=parts, leaves=leaves, shapes=shapes, **placed, **facts)
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, EOFError) as error:
            raise ValueError(f"no graphs ({error})") from None


def architecture(described: Mapping[str, Any]) -> str:
    """What models with the same graphs share, 16 hexadecimal digits, from what a model file says of itself."""
    shared = {name: described.get(name) for name in ("encoder", "decoder", "matcher")}
    words = described.get("vocabulary")
    shared |= {"words": len(words) if isinstance(words, list) else None, "version": VERSION}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:16]


def read_graphs(key: str) -> Graphs | None:
    """The graphs of an architecture, from beside the shipped models or from the cache; None where no whole ones are."""
    for folder in (*shipped_folders(), cache_folder()):
        with suppress(OSError, ValueError):
            return Graphs.from_bytes((folder / f"{key}{SUFFIX}").read_bytes())
    return None


def keep_graphs(key: str, graphs: Graphs) -> str | None:
    """Puts graphs into the cache; where that cannot be written the reason is given, and nothing else is wrong."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / f"{key}{SUFFIX}", graphs.to_bytes())
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    return None


def can_keep() -> bool:
    """Whether there is a cache, or can be one."""
    with suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        return os.access(cache_folder(), os.W_OK)
    return False


def cache_folder() -> Path:
    """Where graphs are kept: a folder of the user's own."""
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "capcli", "graphs")
