"""Pictures that arrive in a folder while somebody waits for them."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path

from capcli.errors import UsageError
from capcli.pictures.options import InputOptions

SETTLED = 2.0
"""Seconds without a change after which a file counts as written."""

LOOK = 1.0
"""Seconds between two looks while a picture is waited for."""

IDLE = 30.0
"""Seconds between two looks where nothing stirs, for file systems that report nothing."""


def watch(
    folder: Path, options: InputOptions, stop: threading.Event, seen: set[Path]
) -> Generator[Path | None, None, None]:
    """Wait for the pictures in `folder` that are not in `seen`, those there already among them, until `stop` is set.

    A picture is handed over once it has not changed for `SETTLED` seconds and, where the system can tell, nobody
    has it open for writing. A picture that was handed over is not handed over again, whatever becomes of it.

    Yields:
        paths below `folder`, and None whenever there is none for now.

    Raises:
        UsageError: once the folder is gone.
    """
    # Imported here, because only those who watch need it.
    from watchfiles import watch as changes

    with contextlib.suppress(AttributeError, ValueError):  # of systems without it, and outside the main thread
        # Sent where somebody opens a file for writing while `_is_being_written` looks at it; it would end the process.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
    waiting: dict[Path, tuple[tuple[int, int], float]] = {}
    looked = -math.inf
    yield None
    # What has changed is not taken from the events: some file systems lose them, and others know of none.
    for changed in changes(
        folder,
        watch_filter=None,
        recursive=options.recursive,
        stop_event=stop,
        rust_timeout=int(1000 * LOOK),
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        if not folder.is_dir():
            raise UsageError(f"{folder} is gone; there is nothing to watch any more")
        if not changed and not waiting and time.monotonic() - looked < IDLE:
            continue
        looked = time.monotonic()
        present = options.look(folder)
        waiting = {picture: waiting[picture] for picture in present if picture in waiting}
        for picture in present:
            if picture in seen:
                continue
            state, now = _state(picture), time.monotonic()
            if state is None:
                waiting.pop(picture, None)
            elif picture not in waiting or waiting[picture][0] != state:
                waiting[picture] = state, now
            elif now - waiting[picture][1] >= SETTLED and not _is_being_written(picture):
                del waiting[picture]
                seen.add(picture)
                yield picture
        yield None


def _state(picture: Path) -> tuple[int, int] | None:
    try:
        state = picture.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _is_being_written(picture: Path) -> bool:
    """Whether another process has the file open for writing, as far as the system tells."""
    try:
        import fcntl

        with picture.open("rb") as file:
            # Linux grants a read lease only on files that nobody writes.
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (ImportError, AttributeError, OSError):
        pass
    return False
