"""What looks at frames: it tells what each shows, as a vector, and captions those that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from capcli.arrays import Float32Array, UInt8Array
from capcli.model.options import ModelOptions
from capcli.video.pixels import to_picture, to_square

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from capcli.caption import Caption
    from capcli.decoding.options import DecodingOptions

_EYE = "base"
"""The shipped model whose encoder finds scenes where the captioner has none that can be asked."""

Prepared = tuple[UInt8Array, ...]
"""A frame as a viewer takes it."""


@runtime_checkable
class Seer(Protocol):
    """A captioner whose encoder can be asked, as `Captioner` can."""

    @property
    def size(self) -> int: ...

    def encode(self, arrays: UInt8Array) -> Any: ...

    def means(self, regions: Any) -> Float32Array: ...

    def decode(self, regions: Any, options: DecodingOptions | None = None) -> Sequence[Caption]: ...


class Viewer(Protocol):
    """Looks at a few frames at a time."""

    def prepare(self, frame: VideoFrame, pixel: float) -> Prepared:
        """A frame made small; `pixel` is the width of its pixels over their height."""
        ...

    def look(self, frames: Sequence[Prepared]) -> Float32Array:
        """A vector for each of B frames, B x D; their cosines say how alike the frames are."""
        ...

    def caption(self, places: Sequence[int]) -> Sequence[Caption]:
        """Captions of some of the frames that were looked at last."""
        ...


class EncodingViewer:
    """Encodes frames once, for vectors and captions alike: a vector is the mean of a frame's regions.

    Args:
        captioner: encodes and captions.
        decoding: how captions are chosen.
    """

    def __init__(self, captioner: Seer, decoding: DecodingOptions) -> None:
        self._captioner, self._decoding = captioner, decoding
        self._regions: Any = None

    def prepare(self, frame: VideoFrame, pixel: float) -> Prepared:
        return (to_square(frame, self._captioner.size),)

    def look(self, frames: Sequence[Prepared]) -> Float32Array:
        self._regions = self._captioner.encode(np.stack([square for (square,) in frames]))
        return self._captioner.means(self._regions)

    def caption(self, places: Sequence[int]) -> Sequence[Caption]:
        return self._captioner.decode(self._regions[list(places)], self._decoding)


class PairedViewer:
    """Finds scenes by another model's encoder than captions them: for captioners whose own cannot be asked.

    Args:
        eye: encodes.
        captioner: captions; it has `caption_arrays` and `size`, and perhaps `keeps_proportions`.
        decoding: how captions are chosen.
    """

    def __init__(self, eye: Seer, captioner: Any, decoding: DecodingOptions) -> None:
        self._eye, self._captioner, self._decoding = EncodingViewer(eye, decoding), captioner, decoding
        self._frames: Sequence[Prepared] = ()

    def prepare(self, frame: VideoFrame, pixel: float) -> Prepared:
        (square,) = self._eye.prepare(frame, pixel)
        size = self._captioner.size
        if getattr(self._captioner, "keeps_proportions", False):
            return square, np.array(to_picture(frame, size, pixel))
        return square, to_square(frame, size)

    def look(self, frames: Sequence[Prepared]) -> Float32Array:
        self._frames = frames
        return self._eye.look([frame[:1] for frame in frames])

    def caption(self, places: Sequence[int]) -> Sequence[Caption]:
        arrays = np.stack([self._frames[place][1] for place in places])
        captions: Sequence[Caption] = self._captioner.caption_arrays(arrays, self._decoding)
        return captions


def make_viewer(
    captioner: Any, decoding: DecodingOptions, model: ModelOptions, load: Callable[[ModelOptions], Any]
) -> Viewer:
    """The viewer of a captioner.

    Args:
        captioner: of any kind.
        decoding: how captions are chosen.
        model: where the captioner computes.
        load: loads the shipped model where its encoder is needed.
    """
    if isinstance(captioner, Seer):
        return EncodingViewer(captioner, decoding)
    return PairedViewer(load(ModelOptions(model=_EYE, device=model.device)), captioner, decoding)
