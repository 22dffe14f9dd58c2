"""What the review page asks for: windows of rows, pictures by their numbers, and changes."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from capcli.files.names import printable
from capcli.library.review import (
    LONGEST,
    UNREVIEWED,
    Conflict,
    NotChanged,
    Place,
    Row,
    count_statuses,
    decide,
    read_looked,
    read_row,
    read_window,
    undo,
)
from capcli.library.statuses import STATUSES
from capcli.output.html import render
from capcli.web.answers import (
    answer,
    answer_picture,
    answer_script,
    answer_style,
    guard_routes,
    name_store,
    read_json,
)
from capcli.web.heatmaps import Heatmaps, NoHeatmap
from capcli.web.thumbnails import SIDES
from capcli.words.tokens import spans

WINDOW = 60
"""Rows that the page gets at a time."""

ALL = "all"

_LARGEST = 2**63 - 1
"""Of SQLite's numbers."""


def make_application(library: Path, reviewer: str, heatmaps: Heatmaps, token: str, port: int) -> ASGIApp:
    """The page and what it asks for, guarded.

    Args:
        library: the file.
        reviewer: who the history says made the changes.
        heatmaps: makes them.
        token: the secret in the address.
        port: that the server listens on.
    """
    review = _Review(library, reviewer, heatmaps)
    routes: list[BaseRoute] = [
        Route("/", review.page),
        Route("/review.css", review.style),
        Route("/review.js", review.script),
        Route("/counts", review.counts),
        Route("/rows", review.rows),
        Route("/rows/{picture:int}", review.row, methods=["GET"]),
        Route("/rows/{picture:int}", review.change, methods=["POST"]),
        Route("/rows/{picture:int}/undo", review.take_back, methods=["POST"]),
        Route("/rows/{picture:int}/heatmaps", review.look),
        Route("/pictures/{picture:int}", review.picture),
    ]
    return guard_routes(routes, token, port)


class _Review:
    """Answers requests about one library; what reads or writes it runs in threads."""

    def __init__(self, library: Path, reviewer: str, heatmaps: Heatmaps) -> None:
        self._library, self._reviewer, self._heatmaps = library, reviewer, heatmaps
        self._name = name_store(library)

    def page(self, request: Request) -> Response:
        page = render(
            "web/review.html",
            name="review",
            title=f"Review of {self._library.name}",
            store=self._name,
            library=self._library.name,
            reviewer=self._reviewer,
            statuses=STATUSES,
            longest=LONGEST,
        )
        return Response(page, media_type="text/html")

    def style(self, request: Request) -> Response:
        return answer_style("output/page.css", "web/page.css", "web/review.css", "web/words.css")

    def script(self, request: Request) -> Response:
        return answer_script("web/page.js", "web/words.js", "web/review.js")

    def counts(self, request: Request) -> Response:
        return answer({"counts": count_statuses(self._library)})

    def rows(self, request: Request) -> Response:
        show = request.query_params.get("show", ALL)
        if show not in (ALL, UNREVIEWED, *STATUSES):
            raise HTTPException(400, "unknown status")
        after = _place(request.query_params.get("after"))
        rows = read_window(self._library, None if show == ALL else show, after, WINDOW)
        place = rows[-1].place if len(rows) == WINDOW else None
        following = None if place is None else [place.status, place.confidence, place.id]
        return answer({"rows": [_page_row(row) for row in rows], "next": following})

    def row(self, request: Request) -> Response:
        found = read_row(self._library, request.path_params["picture"])
        if found is None:
            raise HTTPException(404, "the picture is not in the library, or has no caption")
        row, changes = found
        return answer(
            {"row": _page_row(row), "changes": [asdict(change) for change in changes if change.field != "path"]}
        )

    async def change(self, request: Request) -> Response:
        asked = await read_json(request, version=int, status=str, caption=str)
        if asked["status"] not in STATUSES:
            raise HTTPException(400, "unknown status")
        picture = request.path_params["picture"]
        return await run_in_threadpool(self._change, lambda: decide(self._library, picture, by=self._reviewer, **asked))

    async def take_back(self, request: Request) -> Response:
        asked = await read_json(request, version=int)
        picture = request.path_params["picture"]
        return await run_in_threadpool(self._change, lambda: undo(self._library, picture, by=self._reviewer, **asked))

    async def look(self, request: Request) -> Response:
        looked = await run_in_threadpool(read_looked, self._library, request.path_params["picture"])
        if looked is None:
            raise HTTPException(404, "the picture is not in the library, or has no caption")
        try:
            maps = await self._heatmaps.make(looked, request.is_disconnected)
        except NoHeatmap as error:
            raise HTTPException(422, str(error)) from None
        return answer({"caption": looked.caption, "words": maps})

    def picture(self, request: Request) -> Response:
        side = SIDES.get(request.query_params.get("side", "large"))
        found = read_row(self._library, request.path_params["picture"])
        if side is None or found is None:
            raise HTTPException(404, "no such picture")
        return answer_picture(found[0].path, side)

    def _change(self, make: Any) -> Response:
        """Makes a change and answers with the row as it then is."""
        try:
            return answer({"row": _page_row(make())})
        except Conflict as conflict:
            return answer({"error": "somebody else changed it meanwhile", "row": _page_row(conflict.row)}, 409)
        except NotChanged as error:
            return answer({"error": f"the caption {error}"}, 422)


def _page_row(row: Row) -> dict[str, object]:
    """A row as the page gets it: its name and folder as people read them, and never as something to ask for."""
    fields = asdict(row)
    path, source = Path(fields.pop("path")), fields.pop("copied_from")
    copied = None if source is None else _shown(Path(source).name)
    return {
        **fields,
        "name": _shown(path.name),
        "folder": _shown(str(path.parent)),
        "copied": copied,
        "words": _cut(row.caption),
    }


def _cut(caption: str) -> list[tuple[str, int | None]]:
    """A caption as it is spelt, cut into the words that a model sees, each with its place, and what is between."""
    pieces: list[tuple[str, int | None]] = []
    end = 0
    for place, (_, start, stop) in enumerate(spans(caption)):
        pieces += [(caption[end:start], None), (caption[start:stop], place)]
        end = stop
    return [piece for piece in (*pieces, (caption[end:], None)) if piece[0]]


def _shown(name: str) -> str:
    return printable(name).encode(errors="replace").decode()


def _place(text: str | None) -> Place | None:
    if not text:
        return None
    try:
        status, confidence, number = json.loads(text)
        if status not in (UNREVIEWED, *STATUSES) or not math.isfinite(confidence):
            raise ValueError
        return Place(status, float(confidence), max(-_LARGEST, min(int(number), _LARGEST)))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise HTTPException(400, "no place in the library") from None
