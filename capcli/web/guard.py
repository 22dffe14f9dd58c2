"""Only the page that the user opened may speak with the server.

The server listens on 127.0.0.1 alone, but every page that is open in a browser can send requests there. So the address
holds a secret, Host must be the server itself (which stops names that were made to lead here), and requests that
another site causes are refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: load its own parts from this server, and nothing else."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Lets requests of the page through to an application, and gives every answer the headers that hold it there.

    Args:
        app: the application.
        hosts: what Host may be, with the port.
        token: the secret, the first part of each path.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str) -> None:
        self._app, self._hosts, self._token = app, frozenset(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server starts or ends; the application has nothing else
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(scope)
        await (self._app if refused is None else refused)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This server answers at its own address alone.\n", 421)
        origin = headers.get("origin")
        if origin is None and scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("A change needs an Origin.\n", 403)
        if origin is not None and origin.lower() != f"http://{hosts[0].lower()}":
            return PlainTextResponse("Another site may not ask this server.\n", 403)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("Another site may not ask this server.\n", 403)
        given = str(scope["path"]).removeprefix("/").partition("/")[0].encode()
        if not secrets.compare_digest(given, self._token.encode()):
            return PlainTextResponse("Not found: open the address that capcli printed last.\n", 404)
        return None
