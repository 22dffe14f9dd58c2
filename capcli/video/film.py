"""A film: opened, found to be one, and its frames at the times that are asked for."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from capcli.errors import UnreadableFilm, system_reason
from capcli.pictures.refusal import MAX_PIXELS
from capcli.pictures.spelling import explain_absence
from capcli.video.extra import import_av
from capcli.video.sampling import Sampler

if TYPE_CHECKING:
    from av.container.input import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_NO_FILMS = re.compile(r"hls|dash|concat|imf|sdp|lavfi|tty|image2.*|.*_pipe|apng|ico|alias_pix")
"""What FFmpeg opens, too: lists of other files, texts, and pictures."""

_BUFFER = 1 << 18
_MICROSECONDS = 1_000_000
_MARGIN = 1.0
"""Seconds by which a film may end before the time that its beginning names."""


@dataclass(frozen=True)
class Sample:
    """A frame and the time at which it is shown, in seconds from the film's beginning."""

    time: float
    frame: VideoFrame


class Film:
    """A film whose frames are decoded once, from its beginning to its end; a context manager.

    Args:
        path: a regular file of any container and codec that FFmpeg reads.

    Attributes:
        path: the file.
        stream: its moving picture, the best if there are several.
        start: time of its beginning in the file's own time, in seconds.
        length: in seconds as its beginning tells, None if it does not.
        pixel: width of the frames' pixels over their height.

    Raises:
        UnreadableFilm: if it is no film, with the reason.
        UsageError: without PyAV.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        av = import_av()
        with ExitStack() as stack:
            try:
                _check_file(path)
                file = stack.enter_context(path.open("rb"))
                # A list inside the film could name other files and addresses; no protocol is called so.
                options = {"protocol_whitelist": "none"}
                container = stack.enter_context(av.open(file, options=options, buffer_size=_BUFFER))
                self.stream = _moving_picture(container)
            except _Refusal as refusal:
                raise UnreadableFilm(path, str(refusal)) from None
            except OSError as error:
                raise UnreadableFilm(path, _reason_of(path, error)) from None
            except (av.error.FFmpegError, ValueError) as error:
                raise UnreadableFilm(path, _no_film(error)) from None
            self._container: InputContainer = container
            self.pixel = float(self.stream.sample_aspect_ratio or 1)
            self.start = (container.start_time or 0) / _MICROSECONDS
            self.length = None if container.duration is None else container.duration / _MICROSECONDS
            self._stack = stack.pop_all()
        self._sampler: Sampler | None = None

    def samples(self, every: float) -> Iterator[Sample]:
        """The first frame, and the first one at or after each multiple of `every` seconds, in order.

        Raises:
            UnreadableFilm: if not one frame can be decoded.
        """
        self._sampler = sampler = Sampler(self._container, self.stream, self.start, every)
        found = False
        for time, frame in sampler.frames():
            found = True
            yield Sample(time, frame)
        if not found:
            raise UnreadableFilm(self.path, "is damaged: not one of its frames can be decoded")

    @property
    def end(self) -> float:
        """When the last frame that was read ends, in seconds; to be asked after the last sample."""
        return self._sampler.end if self._sampler else 0.0

    @property
    def damage(self) -> str | None:
        """What could not be read, one clause; None for nothing. To be asked after the last sample."""
        declared = self._declared_length()
        if declared is not None and declared - self.end > max(_MARGIN, declared / 100):
            return f"ends after {self.end:.1f} of {declared:.1f} seconds; the rest is missing or damaged"
        count = self._sampler.damaged if self._sampler else 0
        return f"is damaged in {count:,} place{'s' if count > 1 else ''}, which are passed over" if count else None

    def _declared_length(self) -> float | None:
        """Seconds that the moving picture itself is to last."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        clock = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", self.stream.metadata.get("DURATION", ""))
        return (
            sum(float(part) * unit for part, unit in zip(clock.groups(), (3600, 60, 1), strict=True)) if clock else None
        )

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)


class _Refusal(Exception):  # noqa: N818 - a verdict, not a fault
    """The reason, as `UnreadableFilm` has it."""


def _check_file(path: Path) -> None:
    state = path.stat()
    if stat.S_ISDIR(state.st_mode):
        raise _Refusal("is a folder")
    if not stat.S_ISREG(state.st_mode):
        # Opening a pipe waits for a writer, and what it brings may have no end.
        raise _Refusal("is not a regular file and may have no end; capcli live --camera takes what goes on")
    if not state.st_size:
        raise _Refusal("is empty (0 bytes)")


def _moving_picture(container: InputContainer) -> VideoStream:
    if _NO_FILMS.fullmatch(container.format.name):
        raise _Refusal("is no film capcli can read")
    av = import_av()
    kinds = {stream.type for stream in container.streams}
    still = av.stream.Disposition.attached_pic
    moving = [stream for stream in container.streams.video if not stream.disposition & still]
    if not moving:
        cover = " with a cover" if container.streams.video else ""
        raise _Refusal(f"holds sound{cover} and no moving picture" if "audio" in kinds else "holds no moving picture")
    stream = max(moving, key=lambda candidate: candidate.width * candidate.height)
    if stream.codec_context is None or not stream.width or not stream.height:
        raise _Refusal("holds a moving picture that cannot be decoded")
    if stream.width * stream.height > MAX_PIXELS:
        raise _Refusal(f"has frames of {stream.width:,} x {stream.height:,} pixels, too many to decode")
    # All cores decode; one frame's delay does not matter.
    stream.thread_type = "AUTO"
    return stream


def _reason_of(path: str | Path, error: OSError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"does not exist{explain_absence(path)}"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    return f"cannot be read ({system_reason(error)})"


def _no_film(error: Exception) -> str:
    message = " ".join((getattr(error, "strerror", None) or str(error)).split()).lower()
    if "invalid data" in message:
        return "is no film, or its beginning or its index is missing or damaged"
    return f"cannot be read ({message})"
