"""What a camera sees, captioned while it goes on, and how late the sentences are."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Protocol

import numpy as np

from capcli.video.extra import import_av
from capcli.video.feed import Arrival, Feed
from capcli.video.scenes import Scenes
from capcli.video.viewer import Viewer
from capcli.words.counting import count_of

if TYPE_CHECKING:
    from capcli.caption import Caption

_REMEMBERED = 10_000
"""Delays that the figures at the end are of, the last ones: a camera may run for months."""

_PATIENCE = 0.2
"""Seconds after which a wait for a frame looks whether the user wants to leave."""


@dataclass(frozen=True)
class Sight:
    """What is shown: a frame, and the caption of the scene.

    Attributes:
        arrival: the frame.
        pixel: width of its pixels over their height.
        caption: of the scene that it belongs to.
        new: whether this is the frame that was captioned.
        delay: seconds from the arrival of the frame that was captioned to its caption.
    """

    arrival: Arrival
    pixel: float
    caption: Caption
    new: bool
    delay: float


class Display(Protocol):
    """Where picture and sentence are shown."""

    def show(self, sight: Sight) -> None:
        """Shows them in the place of the ones before."""
        ...


@dataclass
class Account:
    """What became of the frames.

    Attributes:
        looked: frames that were looked at.
        captioned: those of them that showed something new.
        dropped: frames that were not looked at, because a newer one was there.
        delays: seconds from a frame's arrival to the moment its sentence was shown.
    """

    looked: int = 0
    captioned: int = 0
    dropped: int = 0
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    @property
    def median(self) -> float:
        """Of the delays, in seconds; 0 where there are none."""
        return statistics.median(self.delays) if self.delays else 0.0

    @property
    def late(self) -> float:
        """The delay that 95 of 100 sentences do not exceed, in seconds; 0 where there are none."""
        return float(np.percentile(self.delays, 95)) if self.delays else 0.0

    def __str__(self) -> str:
        summary = f"looked at {count_of(self.looked, 'frame')}, captioned {self.captioned:,}"
        if not self.delays:
            return summary
        return f"{summary}, delay {1000 * self.median:.0f} ms median, {1000 * self.late:.0f} ms at the 95th percentile"


def warm_up(viewer: Viewer) -> None:
    """Captions a grey frame, because the first caption of a process takes far longer than all others."""
    grey = import_av().VideoFrame.from_ndarray(np.full((480, 640, 3), 128, np.uint8), "rgb24")
    viewer.look([viewer.prepare(grey, 1.0)])
    viewer.caption([0])


def caption_live(
    feed: Feed,
    viewer: Viewer,
    display: Display,
    *,
    every: float,
    scene_change: float,
    leave: Event,
) -> Account:
    """Captions what goes on until it ends or the user leaves.

    Args:
        feed: gives the newest frame.
        viewer: looks at its frames and captions them.
        display: shows them.
        every: seconds from one look to the next at least.
        scene_change: as `Scenes` takes it.
        leave: is set once the user wants it.

    Raises:
        UnreadableFilm: if the camera is gone.
    """
    account, scenes = Account(), Scenes(scene_change)
    caption: Caption | None = None
    delay = 0.0
    while not leave.is_set():
        begun = time.monotonic()
        try:
            arrival = feed.take(_PATIENCE)
        except EOFError:
            break
        if arrival is None:
            continue
        account.looked += 1
        new = bool(scenes.find(viewer.look([viewer.prepare(arrival.frame, feed.pixel)]))[0])
        if new or caption is None:
            (caption,) = viewer.caption([0])
            delay = time.monotonic() - arrival.at
        display.show(Sight(arrival, feed.pixel, caption, new, delay))
        if new:
            account.captioned += 1
            account.delays.append(time.monotonic() - arrival.at)
        leave.wait(max(0.0, every - (time.monotonic() - begun)))
    account.dropped = feed.dropped
    return account
