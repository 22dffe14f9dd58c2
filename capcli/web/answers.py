"""What the pages of capcli send and get: JSON, and why something was refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from capcli.errors import CapcliError, UnreadableImage
from capcli.files.json import dumps
from capcli.output.html import read_source
from capcli.web.guard import Guard
from capcli.web.thumbnails import make_thumbnail

LARGEST_BODY = 80_000
"""Bytes of what a page sends at most."""


def guard_routes(routes: list[BaseRoute], token: str, port: int) -> ASGIApp:
    """An application that answers only the page at `port` whose address holds the token."""
    app = Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        exception_handlers={CapcliError: answer_error, HTTPException: answer_error},
    )
    return Guard(app, (f"127.0.0.1:{port}", f"localhost:{port}"), token)


def answer(content: object, code: int = 200) -> Response:
    """Plain values."""
    return Response(dumps(content), code, media_type="application/json")


def answer_error(request: Request, error: Exception) -> Response:
    """Why there is no answer, as JSON."""
    if isinstance(error, HTTPException):
        return answer({"error": error.detail}, error.status_code)
    return answer({"error": str(error)}, 503)


def answer_style(*sources: str) -> Response:
    """Styles from files of the package, one after the other."""
    return Response("".join(map(read_source, sources)), media_type="text/css")


def answer_script(*sources: str) -> Response:
    """Scripts from files of the package, one after the other."""
    return Response("".join(map(read_source, sources)), media_type="text/javascript")


def answer_picture(path: str, side: int) -> Response:
    """A picture as a small JPEG; raises HTTPException where it cannot be read."""
    try:
        content = make_thumbnail(path, side)
    except UnreadableImage as error:
        raise HTTPException(404, f"the picture {error.reason}") from None
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})


async def read_json(request: Request, **fields: type) -> Mapping[str, Any]:
    """The fields of a JSON object that the request brings, each of its type; raises HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "a change is JSON")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, "the text is too long")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or any(type(content.get(name)) is not kind for name, kind in fields.items()):
        raise HTTPException(400, "not what a change looks like")
    return {name: content[name] for name in fields}


def name_store(path: Path, *more: str) -> str:
    """By this a browser knows to which file an unsent answer belongs, and nothing of its name."""
    key = "\0".join((os.path.realpath(path), *more))
    return hashlib.blake2b(key.encode(errors="replace"), digest_size=8).hexdigest()
