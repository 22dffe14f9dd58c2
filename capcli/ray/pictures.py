"""Pictures of rows as files of this machine, fetched ahead where they lie elsewhere."""

from __future__ import annotations

import functools
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from capcli.ray.places import split_uri

_FETCHERS = 16
"""Pictures fetched at once: an answer of S3 takes 20 to 100 ms, during which there is nothing to do."""


class LocalPictures:
    """A file for the picture of every row; a context manager, at whose end those that it made are gone.

    Args:
        rows: with `bytes` or `path`.
        base: folder below which relative paths lie.
        ahead: how many pictures are fetched before they are asked for.
        filesystem: a pyarrow file system for the paths; by default what each says.

    Attributes:
        names: the file of each row, in their order; it may not be there before `fetch`.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], base: Path, ahead: int, filesystem: Any = None) -> None:
        self._filesystem, self._ahead, self._base = filesystem, ahead, base
        self._folder = tempfile.TemporaryDirectory(prefix="capcli-", ignore_cleanup_errors=True)
        self._made: dict[Path, Mapping[str, Any]] = {}
        self._reasons: dict[Path, str] = {}
        self.names = [self._name(number, row) for number, row in enumerate(rows)]
        self._threads = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="capcli-fetch")
        self._left = deque(self._made)
        self._coming: dict[Path, Future[None]] = {}

    def fetch(self, name: Path) -> Path:
        """Waits until the file is there, or is known not to come; returns it."""
        if name in self._made:
            while self._left and len(self._coming) < self._ahead:
                following = self._left.popleft()
                self._coming[following] = self._threads.submit(self._make, following)
            self._coming.pop(name).result()
        return name

    def release(self, name: Path) -> str | None:
        """Is called once a picture was read; removes the file that was made for it.

        Returns:
            why there was nothing to read, None where there was.
        """
        if name in self._made:
            with suppress(OSError):
                name.unlink(missing_ok=True)
        return self._reasons.get(name)

    def __enter__(self) -> LocalPictures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def _name(self, number: int, row: Mapping[str, Any]) -> Path:
        path = row.get("path")
        if row.get("bytes") is None and isinstance(path, str) and path and "\0" not in path:
            if self._filesystem is None and path.startswith("file://"):
                return Path(unquote(urlsplit(path).path))
            if self._filesystem is None and split_uri(path) is None:
                return self._base / path
        # With the ending, which says why some pictures cannot be read.
        ending = Path(path).suffix[:16] if isinstance(path, str) and "\0" not in path else ""
        name = Path(self._folder.name, f"{number}{ending}")
        self._made[name] = row
        return name

    def _make(self, name: Path) -> None:
        row = self._made[name]
        content, path = row.get("bytes"), row.get("path")
        try:
            if content is not None:
                name.write_bytes(content)
            elif isinstance(path, str) and "\0" in path:
                self._reasons[name] = "does not exist"
            elif isinstance(path, str) and path:
                filesystem, place = self._filesystem, path
                if split_uri(path) is not None:
                    found, place = resolve(path)
                    filesystem = filesystem or found
                with filesystem.open_input_stream(place) as file:
                    name.write_bytes(file.read())
            else:
                self._reasons[name] = "has neither path nor bytes"
        except FileNotFoundError:
            self._reasons[name] = "does not exist"
        except Exception as error:  # every file system has errors of its own, and a row shall not end the job
            self._reasons[name] = f"cannot be fetched ({' '.join(str(error).split())[:200]})"


def resolve(uri: str) -> tuple[Any, str]:
    """The pyarrow file system of a URI, made once for each bucket, and the path in it; raises what pyarrow does."""
    scheme, bucket, key = split_uri(uri) or ("file", "", uri)
    filesystem, base = _filesystem(scheme, bucket)
    return filesystem, f"{base}/{key}" if base else key


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, bucket: str) -> tuple[Any, str]:
    from pyarrow.fs import FileSystem

    filesystem, base = FileSystem.from_uri(f"{scheme}://{bucket}")
    return filesystem, str(base)
