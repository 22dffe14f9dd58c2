"""Who may ask: programs of this computer, or those that bring the token; never a page of another site."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from capcli.serve.refusal import Refused

OPEN = "/healthz"
"""The path that needs no token: what watches over the server asks it, and it tells nothing."""


class Guard:
    """Checks the head of every request.

    Args:
        token: the secret that requests bring; None where this computer alone can ask.
        hosts: without a token what Host may be, the server's own address first, so that no name that was made to lead
            here does. A web page has no token, and a server with TLS before this one passes its own name on.
    """

    def __init__(self, token: str | None, hosts: Sequence[str]) -> None:
        self._token = None if token is None else token.encode()
        self._hosts = hosts

    def check(self, scope: Scope) -> None:
        """Raises Refused for a request that may not be answered."""
        headers = Headers(scope=scope)
        if self._token is None:
            self._check_site(headers)
        elif scope["path"] != OPEN:
            self._check_token(headers.get("authorization", ""))

    def _check_site(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(421, f"this server answers at its own address alone: http://{self._hosts[0]}")
        # A browser lets every page that is open send forms here; a token it would not send along.
        origin = headers.get("origin")
        foreign = origin is not None and origin.lower() != f"http://{hosts[0].lower()}"
        if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "a page of another site may not ask this server; start it with --token-file")

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        right = secrets.compare_digest(given.strip().encode(), self._token or b"")
        if scheme.lower() != "bearer" or not right:
            raise Refused(401, "the token is missing or wrong; send Authorization: Bearer with the server's token")
