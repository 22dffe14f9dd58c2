"""Films that tests make: of any container, codec, times, turn and colours, with or without sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from capcli.arrays import UInt8Array

SIZE = (64, 48)
FINE = Fraction(1, 1000)
"""Unit of times, in seconds."""


def grey(level: int, size: tuple[int, int] = SIZE) -> UInt8Array:
    """A frame of one grey, height x width x 3."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def quarters(size: tuple[int, int] = SIZE) -> UInt8Array:
    """Red and green above, blue and white below; no turn and no mirror leaves it as it is."""
    frame = grey(235, size)
    height, width = size[1] // 2, size[0] // 2
    frame[:height, :width], frame[:height, width:], frame[height:, :width] = (200, 30, 40), (20, 180, 60), (30, 60, 220)
    return frame


def write_film(
    path: Path,
    frames: Iterable[UInt8Array],
    *,
    rate: int = 10,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    form: str = "yuv420p",
    options: dict[str, str] | None = None,
    prepare: Callable[[Any], object] = lambda stream: None,
    convert: Callable[[av.VideoFrame], av.VideoFrame] = lambda frame: frame,
    sound: float = 0.0,
) -> Path:
    """Writes RGB frames.

    Args:
        path: whose ending names the container.
        frames: height x width x 3, all of a size.
        rate: frames a second, where `times` does not say when each is shown.
        times: of each frame, in seconds.
        codec: as FFmpeg calls it.
        form: of its pixels.
        options: for the codec.
        prepare: is given the stream before it begins.
        convert: makes what the codec gets of each frame.
        sound: seconds of silence beside the picture.
    """
    with av.open(str(path), "w") as container:
        stream: Any = None
        voice: Any = None
        for number, pixels in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = form
                if times is not None:
                    stream.codec_context.time_base = FINE
                prepare(stream)
                voice = container.add_stream("aac", rate=8000, layout="mono") if sound else None
            frame = convert(av.VideoFrame.from_ndarray(pixels, "rgb24"))
            frame.time_base = Fraction(1, rate) if times is None else FINE
            frame.pts = number if times is None else round(times[number] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            _write_silence(container, voice, sound)
    return path


def write_sound(path: Path, seconds: float, cover: bytes | None = None) -> Path:
    """Writes silence, with a JPEG as its cover where one is given."""
    with av.open(str(path), "w") as container:
        voice: Any = container.add_stream("aac" if path.suffix != ".mp3" else "mp3", rate=8000, layout="mono")
        if cover is not None:
            picture: Any = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height = SIZE
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, FINE
            container.start_encoding()
            container.mux(packet)
        _write_silence(container, voice, seconds)
    return path


def _write_silence(container: Any, voice: Any, seconds: float) -> None:
    for start in range(0, round(seconds * 8000), 1000):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
        container.mux(voice.encode(frame))
    container.mux(voice.encode())
