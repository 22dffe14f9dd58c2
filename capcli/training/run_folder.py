"""The folder of a run, in which one run at a time is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capcli.errors import UsageError, system_reason
from capcli.files.lock import open_locked

STATE_FILE, BEST_FILE, LOG_FILE = "state.safetensors", "best.safetensors", "log.csv"


@contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Keeps other runs out of `folder`, which is made if missing, and this one out of a folder of something else.

    The lock ends with its process, however that ends.

    Raises:
        UsageError: if another run is at work there, nothing can be written there, or what is there is not a run's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any((folder / name).exists() for name in ("lock", STATE_FILE)):
            for name in (LOG_FILE, BEST_FILE):
                if (folder / name).exists():
                    raise UsageError(f"{folder}: its {name} is of no run of capcli; choose another --run folder")
        lock = open_locked(folder / "lock")
    except OSError as error:
        raise UsageError(f"{folder}: no checkpoints can be written there ({system_reason(error)})") from None
    if lock is None:
        raise UsageError(f"{folder}: another run is at work there; wait for it to end or choose another --run folder")
    with lock:
        yield
