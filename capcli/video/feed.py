"""The newest frame of what goes on: frames that nobody took in time are dropped, so that none is late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from capcli.errors import CapcliError, UnreadableFilm
from capcli.video.camera import Source, open_source, why_silent
from capcli.video.extra import import_av
from capcli.video.film import Film

if TYPE_CHECKING:
    from av.container.input import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_EVERY_FRAME = 1e-4

_FAREWELL = 1.0
"""Seconds that the thread has to end."""


@dataclass(frozen=True)
class Arrival:
    """A frame, when it arrived by `time.monotonic`, and its time in seconds from the first one."""

    frame: VideoFrame
    at: float
    time: float


class Feed:
    """Decodes a source in a thread of its own and keeps the newest frame; a context manager, which begins to.

    Args:
        source: a camera, a stream, or a film, whose frames come at their times.

    Attributes:
        pixel: width of the frames' pixels over their height.
        dropped: frames in whose place a newer one was taken.

    Raises:
        UnreadableFilm: if it cannot be opened.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._came, self._leave = threading.Condition(), threading.Event()
        self._newest: Arrival | None = None
        self._ended = False
        self._error: CapcliError | None = None
        self.dropped = 0
        with ExitStack() as stack:
            if source.film:
                self._film = stack.enter_context(Film(Path(source.address)))
                stream = self._film.stream
                arrivals = self._play()
            else:
                container = stack.enter_context(open_source(source))
                stream = container.streams.best("video")
                if stream is None:
                    raise UnreadableFilm(source.name, "brings no moving picture")
                arrivals = self._receive(container, stream)
            # A thread for each frame would be several frames late.
            stream.thread_type = "SLICE"
            self.pixel = float(stream.sample_aspect_ratio or 1)
            self._thread = threading.Thread(target=self._run, args=(arrivals,), daemon=True)
            self._stack = stack.pop_all()

    def take(self, patience: float) -> Arrival | None:
        """The newest frame, each once; None where none comes in `patience` seconds.

        Raises:
            UnreadableFilm: if no more frames come because something is wrong.
            EOFError: if no more frames come because that was all.
        """
        with self._came:
            if self._newest is None and not self._ended:
                self._came.wait(patience)
            arrival, self._newest = self._newest, None
            if arrival is None and self._error is not None:
                raise self._error
            if arrival is None and self._ended:
                raise EOFError
            return arrival

    def _run(self, arrivals: Iterator[Arrival]) -> None:
        error = None
        try:
            for arrival in arrivals:
                if self._leave.is_set():
                    break
                with self._came:
                    self.dropped += self._newest is not None
                    self._newest = arrival
                    self._came.notify_all()
        except CapcliError as found:
            error = found
        except (import_av().error.FFmpegError, OSError) as found:
            error = UnreadableFilm(self._source.name, why_silent(found))
        finally:
            with self._came:
                self._ended, self._error = True, error
                self._came.notify_all()

    def _play(self) -> Iterator[Arrival]:
        begun = time.monotonic()
        for sample in self._film.samples(_EVERY_FRAME):
            if self._leave.wait(max(0.0, begun + sample.time - time.monotonic())):
                return
            yield Arrival(sample.frame, time.monotonic(), sample.time)

    def _receive(self, container: InputContainer, stream: VideoStream) -> Iterator[Arrival]:
        begun = None
        for frame in container.decode(stream):
            now = time.monotonic()
            begun = now if begun is None else begun
            if not frame.is_corrupt:
                yield Arrival(frame, now, now - begun)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave.set()
        self._thread.join(_FAREWELL)
        # What waits for a camera that says nothing cannot be woken, and its camera must not be closed meanwhile.
        if not self._thread.is_alive():
            self._stack.__exit__(kind, error, at)
