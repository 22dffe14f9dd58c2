"""The index of vectors: a file beside a library, by which a search of millions compares the query with some of them.

The library stays the one truth. Its index may be deleted at any time, and is used only while the library has the stamp
that it had when the index was made. usearch finds neighbours in it (a graph: Malkov, Yashunin 2018) among the very
numbers that the library stores, so that scores by the index are the same as without it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import sqlite3
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capcli.arrays import Float32Array, Int8Array, IntArray
from capcli.errors import CapcliError, system_reason
from capcli.library.database import read_stamp
from capcli.library.rounding import Rows, round_vectors, row_type
from capcli.library.vectors import compare_rows

INSTALL = 'pip install "capcli[usearch]"'
"""What brings usearch."""

_END = struct.Struct("<Q16s")
"""The last bytes of the file: the length of the label before them, and what kind of file it is."""

_KIND = b"capcli vectors "

_MARK = _KIND + b"2"

_SCALE = np.dtype("<f4")

_EXPANSION = 2
"""How many times as many vectors a search looks at as are asked for. More find more, and read more of the file."""


class Unfit(CapcliError):  # noqa: N818 - as UnreadableImage
    """There is no index that can be used; the text is a clause that says why."""


class NotInstalled(Unfit):
    """usearch is not installed."""


class OtherFormat(Unfit):
    """The index is of another version of capcli."""


@dataclass(frozen=True)
class Label:
    """What an index says of itself, as JSON behind its numbers.

    Attributes:
        usearch: the version that made it.
        stamp: of the library when it was made, in hexadecimal.
        sha256: of the model whose vectors it has.
        width: numbers in a vector.
        vectors: how many vectors.
        graph: bytes of what usearch saved, the first of the file.
        pictures: how many ids of pictures the rest counts: behind the graph lie the scales of their vectors, float32, 0
            where there is none, and then their values, `width` bytes each.
        digest: SHA-256 of all that.
        written: when it was made, in nanoseconds; the time of the file is the same as long as nobody changes it.
    """

    usearch: str
    stamp: str
    sha256: str
    width: int
    vectors: int
    graph: int
    pictures: int
    digest: str
    written: int

    @property
    def numbers(self) -> int:
        """Bytes of the file that the digest is of."""
        return self.graph + self.pictures * (_SCALE.itemsize + self.width)

    def to_bytes(self) -> bytes:
        """The end of the file."""
        content = json.dumps(asdict(self)).encode()
        return content + _END.pack(len(content), _MARK)


class VectorIndex:
    """Vectors, and a graph that leads from each to its neighbours.

    Args:
        graph: of usearch, with the values of the vectors, by the ids of pictures.
        scales: of the vectors, float32, by the ids of pictures; 0 where there is none.
        values: of the vectors, int8 N x E, likewise.
    """

    def __init__(self, graph: Any, scales: Float32Array, values: Int8Array) -> None:
        self.graph, self.scales, self._values = graph, scales, values

    def __len__(self) -> int:
        return len(self.graph)

    def nearest(self, vector: Float32Array, count: int) -> IntArray:
        """The ids of about `count` pictures, those whose vectors are most like a unit vector, E, the best first."""
        self.graph.expansion_search = _EXPANSION * count
        (values,) = round_vectors(vector[None])["values"]
        found: IntArray = self.graph.search(values, count, threads=1).keys.astype(np.intp)
        return found

    def compare(self, pictures: IntArray, vector: Float32Array) -> Float32Array:
        """Cosine similarities of N pictures, by their ids, with a unit vector, E: float32 N, 0 where there is none."""
        return compare_rows(self.read(pictures), vector)

    def read(self, pictures: IntArray) -> Rows:
        """The vectors of N pictures as the library stores them."""
        rows = np.zeros(len(pictures), row_type(self.graph.ndim))
        inside = pictures < len(self.scales)
        rows["scale"][inside] = self.scales[pictures[inside]]
        rows["values"][inside] = self._values[pictures[inside]]
        return rows


def index_path(library: Path) -> Path:
    """Where the index of a library is."""
    return library.with_name(f"{library.name}.usearch")


def open_index(library: Path, connection: sqlite3.Connection, sha256: str) -> VectorIndex:
    """The index of the vectors that a model gave a library, in the state that a connection sees.

    Raises:
        Unfit: if there is none, or it may not be used: it is of another state of the library or of another library,
            model or version of usearch, or it is damaged.
    """
    import_usearch()
    label, content = read_index(index_path(library))
    if (why := is_behind(label, connection)) is not None:
        raise Unfit(why)
    if label.sha256 != sha256:
        raise Unfit("is of another model")
    return view_index(label, content)


def view_index(label: Label, content: memoryview) -> VectorIndex:
    """An index that is left where it is in the file, of which a search reads a small part."""
    # Its table of keys would take most of the time of a search; the values behind the graph do without.
    graph = import_usearch().index.Index(ndim=label.width, metric="cos", dtype="i8", enable_key_lookups=False)
    graph.view(content[: label.graph])
    scales = read_scales(label, content)
    values = np.frombuffer(content, np.int8, label.pictures * label.width, label.graph + scales.nbytes)
    return VectorIndex(graph, scales, values.reshape(label.pictures, label.width))


def read_scales(label: Label, content: memoryview) -> Float32Array:
    """The scales of the vectors in an index, by the ids of pictures; 0 where there is none."""
    return np.frombuffer(content, _SCALE, label.pictures, label.graph)


def is_behind(label: Label, connection: sqlite3.Connection) -> str | None:
    """Why an index is not of the state of a library that a connection sees, or not of this usearch; None if it is.

    Raises NotInstalled where that is not there.
    """
    version = import_usearch().__version__
    if label.stamp != (read_stamp(connection) or b"").hex():
        return "does not have the library's present vectors"
    if label.usearch != version:
        return f"was made by usearch {label.usearch}, and {version} is here"
    return None


def read_index(path: Path, *, prove: bool = False) -> tuple[Label, memoryview]:
    """What an index says of itself, and its bytes.

    Its numbers lead usearch from place to place in memory, so they must be those that were written. To hash them takes
    as long as a search without them; but whoever changed the file since it was made changed its time, too.

    Args:
        path: of the index.
        prove: hash them in any case.

    Raises:
        Unfit: if there is none, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise Unfit("is not there") from None
    except OSError as error:
        raise Unfit(f"cannot be read ({system_reason(error)})") from None
    except ValueError:  # an empty file cannot be mapped
        raise Unfit("is damaged") from None
    try:
        length, mark = _END.unpack(content[-_END.size :])
        if mark.startswith(_KIND) and mark != _MARK:
            raise OtherFormat("was made by another version of capcli")
        begin = len(content) - _END.size - length
        label = Label(**json.loads(bytes(content[begin : begin + length])))
        whole = mark == _MARK and label.numbers == begin
        if prove or written != label.written:
            whole = whole and label.digest == hashlib.sha256(content[:begin]).hexdigest()
    except (struct.error, ValueError, TypeError):
        whole = False
    if not whole:
        raise Unfit("is damaged")
    return label, content


def import_usearch() -> Any:
    """The package; raises NotInstalled where it is not there."""
    if sys.platform == "linux":
        # Its wheels carry a C++ library of their own. ONNX Runtime or torch, if they came later, would take parts of it
        # in place of their own, and crash or never end.
        with suppress(OSError):
            ctypes.CDLL("libstdc++.so.6", ctypes.RTLD_GLOBAL)
    try:
        import usearch
        import usearch.index
    except ModuleNotFoundError as error:
        if error.name != "usearch":
            raise
        raise NotInstalled(f"needs usearch: {INSTALL}") from None
    return usearch
