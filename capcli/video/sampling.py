"""The frames of a film at some times, with no more of them decoded than that takes.

A decoder can begin at each keyframe. So packets wait, undecoded, until one comes that is shown at or after the time
that is wanted next; where a keyframe comes meanwhile, those before it are dropped. That needs no index and no seeking,
and it is the same for every container.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from capcli.video.extra import import_av

if TYPE_CHECKING:
    from av.container.input import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WAITING = 1_000
"""Packets that wait at most; a film may have one keyframe at its beginning and none after it."""

_BACKWARDS = 1.0
"""Seconds by which time may go back before it counts as a new beginning, as where recordings were joined."""

_USUAL_RATE = 25

_EXACT = 1e-6
"""Times closer than this are the same, whatever was rounded on the way."""


class Sampler:
    """Decodes a film once, as far as some of its frames need it.

    Args:
        container: the film.
        stream: its moving picture.
        start: time of the film's beginning in its own time, in seconds.
        every: seconds from one frame that is wanted to the next.

    Attributes:
        end: when the last frame that was read ends, in seconds from the beginning.
        damaged: places that could not be decoded.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, start: float, every: float) -> None:
        self._container, self._stream, self._start, self._every = container, stream, start, every
        self._unit = float(stream.time_base or 1)
        self.end, self.damaged = 0.0, 0
        self._mark = -math.inf  # the first frame is wanted, whatever its time
        self._fed = self._last = -math.inf
        self._waiting: list[Packet[VideoStream]] = []
        self._gap = False

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Frames with their times in seconds from the beginning, which rise."""
        for packet in self._packets():
            for due in self._due(packet):
                yield from self._wanted(due)
        yield from self._wanted(None)

    def _due(self, packet: Packet[VideoStream]) -> list[Packet[VideoStream]]:
        """The packets that the decoder is to have now."""
        time = self._time_of(packet.pts)
        # What is wanted may still be in the decoder, which gives frames later than it gets packets.
        coming = self._fed >= self._mark
        if packet.is_keyframe and time is not None and not coming:
            # All that waits is shown before the time that is wanted, and so is what the decoder still holds.
            self._gap = self._gap or bool(self._waiting)
            self._waiting = []
        self._waiting.append(packet)
        if time is not None and time < self._mark and not coming and len(self._waiting) < _WAITING:
            return []
        if self._gap:
            self._stream.codec_context.flush_buffers()
        times = (self._time_of(queued.pts) for queued in self._waiting)
        self._fed = max([self._fed, *(moment for moment in times if moment is not None)])
        due, self._waiting, self._gap = self._waiting, [], False
        return due

    def _wanted(self, packet: Packet[VideoStream] | None) -> Iterator[tuple[float, VideoFrame]]:
        """Those of the frames which come out of the decoder that are wanted; None gives the last ones."""
        try:
            decoded = self._stream.decode(packet)
        except import_av().error.FFmpegError:
            self.damaged += 1
            return
        for frame in decoded:
            time = self._shown_at(frame)
            self.end = max(self.end, time + self._length_of(frame.duration))
            if frame.is_corrupt:
                # What was recorded from the middle on begins so.
                self.damaged += self._mark > -math.inf
            elif time >= self._mark and time > self._last:
                self._last = time
                self._mark = (math.floor(time / self._every + _EXACT) + 1) * self._every - _EXACT
                yield time, frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets in the order of the file; where their time begins anew it goes on instead."""
        shift, reached = 0, None
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except import_av().error.FFmpegError:
                self.damaged += 1
                return
            if packet.size == 0:  # the end, which the decoder gets last
                continue
            self.damaged += packet.is_corrupt
            # Only what is decoded in order tells; what is shown goes back and forth.
            if packet.dts is not None:
                if reached is not None and (reached - packet.dts - shift) * self._unit > _BACKWARDS:
                    shift = reached - packet.dts + (packet.duration or 0)
                now = packet.dts + shift
                reached = now if reached is None else max(now, reached)
            if shift:
                packet.pts = None if packet.pts is None else packet.pts + shift
                packet.dts = None if packet.dts is None else packet.dts + shift
            time = self._time_of(packet.pts)
            if time is not None:
                self.end = max(self.end, time + self._length_of(packet.duration or 0))
            yield packet

    def _time_of(self, stamp: int | None) -> float | None:
        return None if stamp is None else stamp * self._unit - self._start

    def _shown_at(self, frame: VideoFrame) -> float:
        """When a frame is shown; where the film does not say, right after the one before."""
        time = self._time_of(frame.pts)
        return max(0.0, self.end if time is None else time)

    def _length_of(self, duration: int) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate or _USUAL_RATE
        return duration * self._unit if duration else float(1 / rate)
