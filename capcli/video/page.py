"""A camera on a page: picture and sentence, which the page asks for as soon as they change."""

from __future__ import annotations

import threading

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from capcli.output.html import jpeg, render
from capcli.video.formats import one_line
from capcli.video.live import Sight
from capcli.video.pixels import to_picture
from capcli.web.answers import answer, answer_script, answer_style, guard_routes

_SIDE = 960
_QUALITY = 80
_PATIENCE = 5.0
"""Seconds that an answer waits for something new."""


class Board:
    """What is to be seen now, for every page that is open."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sight: Sight | None = None
        self._number = 0
        self._ended = False
        self._drawn: tuple[int, bytes] = (0, b"")

    def show(self, sight: Sight) -> None:
        """Puts up something new."""
        with self._changed:
            self._sight, self._number = sight, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Tells the pages that nothing follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, after: int) -> dict[str, object]:
        """What is there once it is newer than number `after`, or after some seconds, as plain values."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > after or self._ended, _PATIENCE)
            state: dict[str, object] = {"number": self._number, "ended": self._ended}
            if self._sight is not None:
                state |= {"sentence": one_line(self._sight.caption.text), "delay": round(1000 * self._sight.delay)}
            return state

    def picture(self) -> bytes | None:
        """The newest frame as JPEG; None before there is one."""
        with self._changed:
            sight, number = self._sight, self._number
        if sight is None:
            return None
        # Several pages show the same frame, and it is drawn for one of them.
        if self._drawn[0] != number:
            self._drawn = (number, jpeg(to_picture(sight.arrival.frame, _SIDE, sight.pixel), _QUALITY))
        return self._drawn[1]


def make_application(board: Board, name: str, token: str, port: int) -> ASGIApp:
    """The page and what it asks for, guarded.

    Args:
        board: what it shows.
        name: of the camera, for people.
        token: the secret in the address.
        port: that the server listens on.
    """

    def page(request: Request) -> Response:
        return Response(render("video/live.html", name=name), media_type="text/html")

    def style(request: Request) -> Response:
        return answer_style("output/page.css", "video/live.css")

    def script(request: Request) -> Response:
        return answer_script("video/live.js")

    def state(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            raise HTTPException(400, "after is a number")
        return answer(board.wait(int(after)))

    def picture(request: Request) -> Response:
        content = board.picture()
        if content is None:
            raise HTTPException(404, "no picture yet")
        return Response(content, media_type="image/jpeg")

    routes: list[BaseRoute] = [
        Route("/", page),
        Route("/live.css", style),
        Route("/live.js", script),
        Route("/state", state),
        Route("/picture", picture),
    ]
    return guard_routes(routes, token, port)
