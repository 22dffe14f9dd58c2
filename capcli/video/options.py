"""How films and cameras are captioned: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.options import check, option

SCENE_CHANGE = 0.3
"""Chosen on films made of photographs, see docs/video.md."""

PORT = 8766
"""Not that of reviews, so that both can be open."""


@dataclass(frozen=True)
class FilmOptions:
    """Which frames of a film are looked at, and which of them are captioned; raises UsageError as `check` does."""

    every: float = option(2.0, "Seconds between looks at a film.", least=0.001, metavar="SECONDS")
    scene_change: float = option(
        SCENE_CHANGE,
        "How far a scene must change for a caption.",
        least=0,
        most=2,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LiveOptions:
    """Which camera is captioned, how, and where it is shown; raises UsageError as `check` does."""

    camera: str = option(
        "0", "Number, name or device of a camera, URL of a stream, or a film to play in real time.", metavar="CAMERA"
    )
    every: float = option(0.1, "Seconds between looks at the newest frame.", least=0, metavar="SECONDS")
    scene_change: float = option(
        SCENE_CHANGE,
        "How far a scene must change for a caption.",
        least=0,
        most=2,
    )
    page: bool = option(False, "Show picture and sentence on a page of this computer instead of the terminal.")
    port: int = option(PORT, "Serve the page on this port of 127.0.0.1; 0 is any free one.", least=0, most=65535)
    open: bool = option(False, "Open the page in the browser.")

    def __post_init__(self) -> None:
        check(self)
