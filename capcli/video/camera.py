"""Cameras, streams and films that play in real time: found by what a user calls them, and opened."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from capcli.errors import UnreadableFilm, UsageError, system_reason
from capcli.pictures.spelling import respell
from capcli.video.extra import import_av

if TYPE_CHECKING:
    from av.container.input import InputContainer

_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""What FFmpeg calls the cameras of a system."""

_PATIENCE = 10.0
"""Seconds without a word from a stream until it counts as gone."""

_NETWORK = "crypto,data,hls,http,httpproxy,https,rtmp,rtmps,rtmpt,rtp,rtsp,srt,srtp,tcp,tls,udp"
"""Protocols of streams: a list from far away may not name files of this computer."""

_STREAM = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_QUICKLY = {"flags": "low_delay"}


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        name: as messages call it, without the password that an address may hold.
        address: as FFmpeg takes it; of a film its path.
        form: of FFmpeg's device; None for streams and films.
        film: whether it is a film, which is played in real time.
        options: for FFmpeg.
    """

    name: str
    address: str
    form: str | None = None
    film: bool = False
    options: dict[str, str] = field(default_factory=dict)


def find_source(camera: str) -> Source:
    """What a user means by the number, name or device of a camera, by an address, or by the path of a film.

    Raises:
        UsageError: if it is nothing of all this; the line names the cameras that there are.
    """
    if _STREAM.match(camera) and not camera.lower().startswith("file:"):
        options = {**_QUICKLY, "protocol_whitelist": _NETWORK}
        if camera.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # by UDP lost packets would tear the picture
        return Source(_without_password(camera), camera, options=options)
    path = Path(respell(camera))
    if path.is_file():
        return Source(str(path), str(path), film=True)
    system = _SYSTEMS.get(sys.platform)
    if system is None:
        raise UsageError("capcli knows no cameras on this system; --camera takes an address or a film")
    if system == "v4l2":
        device = f"/dev/video{camera}" if camera.isdecimal() else camera
        if not device.startswith("/dev/") or not os.path.exists(device):  # noqa: PTH110 - of a user's text
            raise UsageError(f"there is no camera {camera}; {_describe_cameras(list_cameras())}")
        return Source(f"camera {camera}", device, system, options=_QUICKLY)
    return Source(f"camera {camera}", _named(camera, system), system, options=_QUICKLY)


def list_cameras() -> list[str]:
    """The cameras of this computer, as `find_source` takes them; empty where nobody knows."""
    system = _SYSTEMS.get(sys.platform)
    if system == "v4l2":
        return sorted((str(path) for path in Path("/dev").glob("video[0-9]*")), key=lambda name: (len(name), name))
    with suppress(Exception):  # a system that does not tell is no reason to end
        devices = import_av().enumerate_input_devices(system)
        return [device.description or device.name for device in devices if "video" in device.media_types]
    return []


def open_source(source: Source) -> InputContainer:
    """Opens a camera or a stream.

    Raises:
        UnreadableFilm: if it is missing, busy, not allowed or silent, with the reason.
    """
    av = import_av()
    try:
        timeout = None if source.form else (_PATIENCE, _PATIENCE)
        container: InputContainer = av.open(
            source.address, format=source.form, options=dict(source.options), timeout=timeout
        )
        return container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableFilm(source.name, why_silent(error)) from None


def why_silent(error: Exception) -> str:
    """Why a camera or a stream gives no pictures, one clause."""
    number = getattr(error, "errno", None)
    if isinstance(error, PermissionError):
        group = ", or add yourself to the group video" if sys.platform == "linux" else " in the system's settings"
        return f"may not be used (permission denied); allow it{group}"
    if number == errno.EBUSY:
        return "is being used by another program; end that first"
    if number == errno.ENOTTY:
        return "is no camera"
    if isinstance(error, FileNotFoundError):
        return f"is not there; {_describe_cameras(list_cameras())}"
    if isinstance(error, (import_av().error.ExitError, TimeoutError)):
        return f"gives no pictures for {_PATIENCE:.0f} seconds"
    cause = error if isinstance(error, (OSError, ValueError)) else ValueError(str(error))
    return f"cannot be opened ({system_reason(cause)})"


def _describe_cameras(names: Sequence[str]) -> str:
    return f"there are {', '.join(names)}" if names else "this computer has no camera that capcli sees"


def _named(camera: str, system: str) -> str:
    """The name of a camera for FFmpeg, by its number or its own name."""
    known = list_cameras()
    if camera.isdecimal() and known:
        if int(camera) >= len(known):
            raise UsageError(f"there is no camera {camera}; {_describe_cameras(known)}")
        camera = known[int(camera)] if system == "dshow" else camera
    return f"video={camera}" if system == "dshow" else camera


def _without_password(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition("://")[0] + "://..."
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
