"""Folders that may lie in a bucket: through the file systems of pyarrow, which every machine of a cluster reaches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capcli.errors import UsageError
from capcli.files.parquet import require_pyarrow
from capcli.pictures.kinds import EXTENSIONS, ending_of

_URI = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?!/)([^/]*)/?(.*)", re.DOTALL)
_SCHEMES = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss", "file", "mock")


def split_uri(text: str) -> tuple[str, str, str] | None:
    """Scheme, bucket and key of a URI, also of one that went through `Path` (`s3:/bucket`); None for a path."""
    found = _URI.fullmatch(text)
    if found is None or found[1] not in _SCHEMES or found[1] == "file":
        return None
    return found[1], found[2], found[3]


class Folder:
    """A folder on a disk or in a bucket.

    Args:
        name: its path, or a URI such as `s3://bucket/folder`.

    Attributes:
        filesystem: pyarrow's.
        path: the folder in that.
        is_local: whether it is on a disk.

    Raises:
        UsageError: if pyarrow is not installed, or knows no such place.
    """

    def __init__(self, name: str | Path) -> None:
        require_pyarrow()
        from pyarrow.fs import FileSystem, LocalFileSystem

        text = str(name)
        split = split_uri(text)
        self.is_local = split is None
        if split is None:
            self.filesystem: Any = LocalFileSystem()
            self.path = os.path.abspath(text.removeprefix("file://"))  # noqa: PTH100 - Path.resolve would follow links
            self._name = text
            return
        scheme, bucket, key = split
        self._name = f"{scheme}://{bucket}/{key}".rstrip("/")
        try:
            self.filesystem, self.path = FileSystem.from_uri(self._name)
        except Exception as error:  # an ArrowException, an OSError, or what a missing library raises
            raise UsageError(f"{self._name} cannot be opened ({one_line(error)})") from None
        self.path = self.path.rstrip("/")

    def __str__(self) -> str:
        return self._name

    def __truediv__(self, name: str) -> Folder:
        below = object.__new__(Folder)
        below.filesystem, below.is_local = self.filesystem, self.is_local
        below.path, below._name = f"{self.path}/{name}", f"{self._name.rstrip('/')}/{name}"
        return below

    def names(self) -> list[str]:
        """What lies in it, empty where it is not there; raises OSError."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.path, allow_not_found=True)
        return sorted(entry.base_name for entry in self.filesystem.get_file_info(selector))

    def read(self) -> bytes | None:
        """The file of this name, None where there is none; raises OSError."""
        try:
            with self.filesystem.open_input_stream(self.path) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        """Puts a file of this name there, whole or not at all; raises OSError."""
        # A bucket takes an object as a whole, when its stream is closed.
        part = f"{self.path}.part" if self.is_local else self.path
        with self.filesystem.open_output_stream(part) as file:
            file.write(content)
        if self.is_local:
            self.filesystem.move(part, self.path)

    def remove(self) -> None:
        """Removes the file of this name; raises OSError."""
        self.filesystem.delete_file(self.path)

    def make(self) -> None:
        """Makes the folder; raises OSError."""
        self.filesystem.create_dir(self.path, recursive=True)

    def clear(self) -> None:
        """Removes all that is in the folder, if it is there; raises OSError."""
        self.filesystem.delete_dir_contents(self.path, missing_dir_ok=True)

    def pictures(self, *, recursive: bool) -> Iterator[str]:
        """Names of the pictures in it, by their endings, in order, as URIs; raises OSError."""
        from pyarrow.fs import FileSelector, FileType

        base = len(self.path) + 1
        for entry in sorted(
            self.filesystem.get_file_info(FileSelector(self.path, recursive=recursive)), key=lambda entry: entry.path
        ):
            below = entry.path[base:]
            hidden = any(part.startswith((".", "_")) for part in below.split("/"))
            if entry.type == FileType.File and ending_of(below.rpartition("/")[2]) in EXTENSIONS and not hidden:
                yield f"{self._name}/{below}"


def one_line(error: BaseException) -> str:
    """What an error of a library says, short enough for a line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
