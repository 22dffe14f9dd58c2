"""Pictures read ahead by worker processes while the model works on those before."""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

import numpy as np

from capcli.arrays import UInt8Array
from capcli.errors import TooManyPixels, UnreadableImage
from capcli.pictures.facts import Facts
from capcli.pictures.process import Crash, ReadingProcess, TooSlow, worker_command
from capcli.pictures.worker import Kind, request, split_pixels

_BATCHES_AHEAD = 2
_MOST_WORKERS = 4


@dataclass(frozen=True)
class Reading:
    """What came of reading one file: either its pixels or the error.

    Attributes:
        path: the file as given.
        array: uint8 of shape (size, size, 3), where proportions are kept (height, width, 3), or None.
        error: why there is no array, or None.
        facts: what a library remembers of the picture, where that was asked for.
    """

    path: Path
    array: UInt8Array | None = None
    error: UnreadableImage | None = None
    facts: Facts | None = None


class ReadingPool:
    """Worker processes that read pictures, so that no file can take the program down with it.

    A process that ends while it reads is replaced and its file read once more, then given up. The processes load in
    the background from the moment that the pool is made. A context manager; threads may share it.

    Args:
        workers: how many processes; by default one for each usable core, at most 4.
        patience: seconds that one picture may take before its process is ended and the picture given up.
        command: the program of a worker, which speaks as `capcli.pictures.worker` does; that one by default.

    Raises:
        CapcliError: when no process can be started.
    """

    def __init__(
        self, workers: int | None = None, patience: float = 120.0, *, command: Sequence[str] | None = None
    ) -> None:
        self._patience = patience
        command = command or worker_command()
        large = threading.Lock()
        count = workers or min(_MOST_WORKERS, usable_cores())
        self._workers = [ReadingProcess(command, patience, large) for _ in range(count)]
        self._idle: SimpleQueue[ReadingProcess] = SimpleQueue()
        # One thread for each process, which does nothing but wait for it.
        self._threads = ThreadPoolExecutor(len(self._workers), thread_name_prefix="capcli-read")
        self._closed = threading.Event()
        try:
            for worker in self._workers:
                worker.start()
                self._idle.put(worker)
            threading.Thread(target=self._tick, name="capcli-patience", daemon=True).start()
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that live now."""
        # Each is asked once, as it may die meanwhile.
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    def stream(
        self,
        paths: Iterable[Path | None],
        size: int,
        batch_size: int,
        *,
        proportions: bool = False,
        described: bool = False,
    ) -> Generator[list[Reading], None, None]:
        """Read pictures and hand them over in input order, each exactly once.

        `paths` is consumed only while the caller waits for a batch, and at most two batches further, so memory is
        bounded however many there are. A None among them says that there are no more for now: what is in hand is
        then handed over before anything else is asked for. Closing the generator cancels what is not yet read.

        Yields:
            lists of `batch_size` readings; before a None and at the end one may be shorter, none is empty.

        Raises:
            CapcliError: when processes do not start any more.
            CancelledError: when the pool was closed meanwhile.
        """
        waiting = iter(paths)
        for first in waiting:
            if first is not None:
                until_none = iter(waiting.__next__, None)
                read = functools.partial(self._read, size=size, proportions=proportions, described=described)
                yield from self._read_ahead(chain([first], until_none), read, batch_size)

    def read(
        self,
        content: bytes,
        size: int,
        *,
        proportions: bool = False,
        described: bool = False,
        most_pixels: int | None = None,
    ) -> Future[Reading]:
        """Read a picture that is in memory, as soon as a process is free.

        Args:
            content: all that a file of it would hold; it is written to no disk.
            size: side of the square that it is made.
            proportions: keep its proportions instead, see `to_array`.
            described: whether the reading has `facts`.
            most_pixels: the most that it may have.

        Returns:
            the reading, whose path is empty; or CapcliError when processes do not start any more, CancelledError when
            the pool was closed meanwhile.
        """
        wanted = request(content, size, proportions=proportions, described=described, most_pixels=most_pixels)
        return self._threads.submit(self._ask, Path(), wanted)

    def close(self) -> None:
        """End the processes at once, also those in the middle of a picture."""
        self._closed.set()
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.reap()

    def __enter__(self) -> ReadingPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _tick(self) -> None:
        # Not by the clock: while this program is stopped, by Ctrl-Z or a sleeping machine, it reads no answers either.
        seconds = min(1.0, self._patience / 4)
        while not self._closed.wait(seconds):
            for worker in self._workers:
                worker.tick(seconds)

    def _read_ahead(
        self, paths: Iterator[Path], read: Callable[[Path], Reading], batch_size: int
    ) -> Generator[list[Reading], None, None]:
        ahead: deque[Future[Reading]] = deque()
        try:
            while True:
                wanted = batch_size * (1 + _BATCHES_AHEAD) - len(ahead)
                ahead.extend(self._threads.submit(read, path) for path in islice(paths, wanted))
                if not ahead:
                    return
                yield [ahead.popleft().result() for _ in range(min(batch_size, len(ahead)))]
        finally:
            for future in ahead:
                future.cancel()

    def _read(self, path: Path, size: int, proportions: bool, described: bool) -> Reading:
        try:
            wanted = request(path, size, proportions=proportions, described=described)
        except (OSError, ValueError):
            return Reading(path, error=UnreadableImage(path, "does not exist"))
        return self._ask(path, wanted)

    def _ask(self, path: Path, wanted: bytes) -> Reading:
        """What came of a request, whose picture is called `path`."""
        worker = self._idle.get()
        try:
            try:
                kind, content = worker.read(wanted)
            except Crash:  # perhaps it was not this file: another program may have taken all memory
                kind, content = worker.read(wanted)
        except Crash as crash:
            kind, reason = Kind.REASON, f"ended the process that read it, twice ({crash})"
        except TooSlow:
            kind, reason = Kind.REASON, f"takes longer than {self._patience:g} s to read"
        else:
            if kind is Kind.PIXELS:
                shape, pixels, encoded = split_pixels(content)
                array = np.frombuffer(pixels, np.uint8).reshape(*shape, 3)
                return Reading(path, array, facts=Facts.decode(encoded) if encoded else None)
            reason = content.decode("utf-8", "surrogatepass")
        finally:
            self._idle.put(worker)
        unreadable = TooManyPixels if kind is Kind.TOO_LARGE else UnreadableImage
        return Reading(path, error=unreadable(path, reason))


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
