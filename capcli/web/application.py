"""What the review page asks for: windows of rows, pictures by their numbers, and changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from capcli.errors import CapcliError, UnreadableImage
from capcli.files.json import dumps
from capcli.files.names import printable
from capcli.library.changes import key_of
from capcli.library.review import (
    LONGEST,
    UNREVIEWED,
    Conflict,
    NotChanged,
    Place,
    Row,
    count_statuses,
    decide,
    read_row,
    read_window,
    undo,
)
from capcli.library.statuses import STATUSES
from capcli.output.html import read_source, render
from capcli.web.guard import Guard
from capcli.web.thumbnails import SIDES, make_thumbnail

WINDOW = 60
"""Rows that the page gets at a time."""

ALL = "all"

_LARGEST = 2**63 - 1
"""Of SQLite's numbers."""

_LARGEST_BODY = 16 * LONGEST


def make_application(library: Path, reviewer: str, token: str, port: int) -> ASGIApp:
    """The page and what it asks for, guarded.

    Args:
        library: the file.
        reviewer: who the history says made the changes.
        token: the secret in the address.
        port: that the server listens on.
    """
    review = _Review(library, reviewer)
    routes = [
        Route("/", review.page),
        Route("/review.css", review.style),
        Route("/review.js", review.script),
        Route("/counts", review.counts),
        Route("/rows", review.rows),
        Route("/rows/{picture:int}", review.row, methods=["GET"]),
        Route("/rows/{picture:int}", review.change, methods=["POST"]),
        Route("/rows/{picture:int}/undo", review.take_back, methods=["POST"]),
        Route("/pictures/{picture:int}", review.picture),
    ]
    app = Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        exception_handlers={CapcliError: _answer_error, HTTPException: _answer_error},
    )
    return Guard(app, (f"127.0.0.1:{port}", f"localhost:{port}"), token)


class _Review:
    """Answers requests about one library; what reads or writes it runs in threads."""

    def __init__(self, library: Path, reviewer: str) -> None:
        self._library, self._reviewer = library, reviewer
        # By this a browser knows to which library an unsent text belongs.
        self._name = hashlib.blake2b(key_of(library).encode(errors="replace"), digest_size=8).hexdigest()

    def page(self, request: Request) -> Response:
        page = render(
            "web/review.html",
            library=self._library.name,
            identity=self._name,
            reviewer=self._reviewer,
            statuses=STATUSES,
            longest=LONGEST,
        )
        return Response(page, media_type="text/html")

    def style(self, request: Request) -> Response:
        return Response(read_source("output/page.css") + read_source("web/review.css"), media_type="text/css")

    def script(self, request: Request) -> Response:
        return Response(read_source("web/review.js"), media_type="text/javascript")

    def counts(self, request: Request) -> Response:
        return _answer({"counts": count_statuses(self._library)})

    def rows(self, request: Request) -> Response:
        show = request.query_params.get("show", ALL)
        if show not in (ALL, UNREVIEWED, *STATUSES):
            raise HTTPException(400, "unknown status")
        after = _place(request.query_params.get("after"))
        rows = read_window(self._library, None if show == ALL else show, after, WINDOW)
        place = rows[-1].place if len(rows) == WINDOW else None
        following = None if place is None else [place.status, place.confidence, place.id]
        return _answer({"rows": [_told(row) for row in rows], "next": following})

    def row(self, request: Request) -> Response:
        found = read_row(self._library, request.path_params["picture"])
        if found is None:
            raise HTTPException(404, "the picture is not in the library, or has no caption")
        row, changes = found
        return _answer({"row": _told(row), "changes": [asdict(change) for change in changes if change.field != "path"]})

    async def change(self, request: Request) -> Response:
        asked = await _read_json(request, version=int, status=str, caption=str)
        if asked["status"] not in STATUSES:
            raise HTTPException(400, "unknown status")
        picture = request.path_params["picture"]
        return await run_in_threadpool(self._change, lambda: decide(self._library, picture, by=self._reviewer, **asked))

    async def take_back(self, request: Request) -> Response:
        asked = await _read_json(request, version=int)
        picture = request.path_params["picture"]
        return await run_in_threadpool(self._change, lambda: undo(self._library, picture, by=self._reviewer, **asked))

    def picture(self, request: Request) -> Response:
        side = SIDES.get(request.query_params.get("side", "large"))
        found = read_row(self._library, request.path_params["picture"])
        if side is None or found is None:
            raise HTTPException(404, "no such picture")
        try:
            content = make_thumbnail(found[0].path, side)
        except UnreadableImage as error:
            raise HTTPException(404, f"the picture {error.reason}") from None
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})

    def _change(self, make: Any) -> Response:
        """Makes a change and answers with the row as it then is."""
        try:
            return _answer({"row": _told(make())})
        except Conflict as conflict:
            return _answer({"error": "somebody else changed it meanwhile", "row": _told(conflict.row)}, 409)
        except NotChanged as error:
            return _answer({"error": f"the caption {error}"}, 422)


def _told(row: Row) -> dict[str, object]:
    """A row as the page gets it: its name and folder as people read them, and never as something to ask for."""
    told = asdict(row)
    path, source = Path(told.pop("path")), told.pop("copied_from")
    copied = None if source is None else _shown(Path(source).name)
    return {**told, "name": _shown(path.name), "folder": _shown(str(path.parent)), "copied": copied}


def _shown(name: str) -> str:
    return printable(name).encode(errors="replace").decode()


def _place(text: str | None) -> Place | None:
    if not text:
        return None
    try:
        status, confidence, number = json.loads(text)
        return Place(str(status), float(confidence), min(int(number), _LARGEST))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise HTTPException(400, "no place in the library") from None


async def _read_json(request: Request, **fields: type) -> Mapping[str, Any]:
    """The fields of a JSON object that the request brings, each of its type."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "a change is JSON")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            raise HTTPException(413, "the text is too long")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or any(type(content.get(name)) is not kind for name, kind in fields.items()):
        raise HTTPException(400, "not what a change looks like")
    return {name: content[name] for name in fields}


def _answer(content: object, code: int = 200) -> Response:
    return Response(dumps(content), code, media_type="application/json")


def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _answer({"error": error.detail}, error.status_code)
    return _answer({"error": str(error)}, 503)
