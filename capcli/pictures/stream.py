"""Pictures read ahead in the background while the model works on those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture, to_array

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Reading:
    """What came of reading one file: either its pixels or the error.

    Attributes:
        path: the file as given.
        array: uint8 of shape (size, size, 3), or None.
        error: why there is no array, or None.
    """

    path: Path
    array: np.ndarray | None = None
    error: UnreadableImage | None = None


def stream(paths: Iterable[Path], size: int, batch_size: int, workers: int = 2) -> Generator[list[Reading], None, None]:
    """Read pictures in `workers` threads and hand them over in input order, each exactly once.

    `paths` is consumed at most a few batches ahead, so memory is bounded however many there are. Closing the
    iterator stops the threads.

    Yields:
        lists of `batch_size` readings; the last may be shorter, none is empty.
    """
    waiting = iter(paths)
    ahead: deque[Future[Reading]] = deque()
    # Threads suffice: Pillow gives up the interpreter lock while it decodes and resizes.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="capcli-read")
    try:
        while True:
            wanted = batch_size * (1 + _BATCHES_AHEAD) - len(ahead)
            ahead.extend(pool.submit(_read, path, size) for path in islice(waiting, wanted))
            if not ahead:
                return
            yield [ahead.popleft().result() for _ in range(min(batch_size, len(ahead)))]
    finally:
        pool.shutdown(cancel_futures=True)


def _read(path: Path, size: int) -> Reading:
    try:
        return Reading(path, array=to_array(read_picture(path, at_least=size), size))
    except UnreadableImage as error:
        return Reading(path, error=error)
    except MemoryError:
        return Reading(path, error=UnreadableImage(path, "does not fit into memory"))
