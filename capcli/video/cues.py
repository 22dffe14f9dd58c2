"""Captions with times: from frames that were captioned to cues that are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capcli.caption import Caption

LEAST = 1.0
"""Seconds that the last cue is shown at least; each other one ends where the next begins."""


@dataclass(frozen=True)
class Shown:
    """A caption of a frame, and when that frame is shown, in seconds."""

    time: float
    caption: Caption


@dataclass(frozen=True)
class Cue:
    """A caption and the seconds from which and to which it is shown."""

    start: float
    end: float
    caption: Caption

    @property
    def seconds(self) -> float:
        """How long it is shown."""
        return self.end - self.start


def make_cues(shown: Iterable[Shown], end: Iterator[float]) -> Iterator[Cue]:
    """Cues that follow each other without gaps: frames of equal captions, one after another, make one.

    Args:
        shown: in the order of their times.
        end: gives the time at which the film ends, once all that is shown is known.

    Yields:
        each cue as soon as the next begins. It has the caption of its first frame.
    """
    first: Shown | None = None
    for frame in shown:
        if first is not None and frame.caption.text == first.caption.text:
            continue
        if first is not None:
            yield Cue(first.time, frame.time, first.caption)
        first = frame
    if first is not None:
        yield Cue(first.time, max(next(end), first.time + LEAST), first.caption)
