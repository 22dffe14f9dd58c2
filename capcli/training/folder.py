"""The folder of a run, in which one run at a time is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capcli.errors import UsageError
from capcli.output.lock import open_locked


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other runs out of `folder`, which is made if missing.

    The lock ends with its process, however that ends.

    Raises:
        UsageError: if another run is at work there, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_locked(folder / "lock")
    except OSError as error:
        raise UsageError(f"{folder}: no checkpoints can be written there ({error.strerror})") from None
    if lock is None:
        raise UsageError(f"{folder}: another run is at work there; wait for it to end or choose another --run folder")
    with lock:
        yield
