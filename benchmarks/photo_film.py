"""Films made of photographs, for the scripts that measure how films are captioned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from capcli.arrays import UInt8Array


@dataclass(frozen=True)
class Scene:
    """A photograph on the screen.

    Attributes:
        photo: the file.
        start: when it appears, in seconds; where it fades in, when that begins.
        stop: when it is gone, or begins to fade out.
        fade: seconds over which it fades in, 0 for a cut.
    """

    photo: Path
    start: float
    stop: float
    fade: float


def plan(photos: list[Path], seconds: tuple[float, float], fade: float, seed: int = 0) -> list[Scene]:
    """A scene for each photograph, of a random length in `seconds`; each second one fades in over `fade` seconds."""
    source, scenes, at = np.random.default_rng(seed), [], 0.0
    for number, photo in enumerate(photos):
        stop = round(at + source.uniform(*seconds), 1)  # on a frame, at rates that are multiples of ten
        scenes.append(Scene(photo, at, stop, fade if number % 2 else 0.0))
        at = stop
    return scenes


def frames_of(
    scenes: list[Scene], size: tuple[int, int], rate: int, *, moves: bool = True, noise: float = 0.0
) -> Iterator[UInt8Array]:
    """The frames: the camera pans and zooms over each photograph, and every frame has noise of its own.

    Args:
        scenes: one after the other.
        size: width and height in pixels.
        rate: frames a second.
        moves: whether the camera moves.
        noise: standard deviation in grey levels.
    """
    source, before = np.random.default_rng(1), None
    for number, scene in enumerate(scenes):
        with Image.open(scene.photo) as photo:
            large = ImageOps.fit(photo.convert("RGB"), (size[0] * 5 // 4, size[1] * 5 // 4))
        count = round(scene.stop * rate) - round(scene.start * rate)
        for index in range(count):
            if moves or index == 0:
                view = _view(large, size, index / count if moves else 0.5, leftwards=number % 2 == 0)
            share = index / (scene.fade * rate) if scene.fade else 1.0
            if noise == 0 and (share >= 1 or before is None):
                yield view
                continue
            frame = view if share >= 1 or before is None else share * view.astype(float) + (1 - share) * before
            yield np.clip(np.rint(frame + source.normal(0, noise, frame.shape)), 0, 255).astype(np.uint8)
        before = _view(large, size, 1.0, leftwards=number % 2 == 0)


def _view(large: Image.Image, size: tuple[int, int], share: float, *, leftwards: bool) -> UInt8Array:
    """What the camera sees: it goes from one side to the other, and nearer."""
    width, height = (round(side * (1.25 - 0.25 * share)) for side in size)
    place = 1 - share if leftwards else share
    left, top = round(place * (large.width - width)), (large.height - height) // 2
    return np.asarray(large.resize(size, Image.Resampling.BILINEAR, (left, top, left + width, top + height)))


def write_film(path: Path, frames: Iterator[UInt8Array], rate: int, *, keyframes: int = 250) -> None:
    """Writes frames as H.264 with a keyframe at least each `keyframes` frames."""
    with av.open(str(path), "w") as container:
        stream = None
        for number, pixels in enumerate(frames):
            if stream is None:
                options = {"g": str(keyframes), "preset": "veryfast"}
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
