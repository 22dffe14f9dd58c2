"""How much the server takes on: requests in hand, their bytes, and the time in which they come and are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from capcli.serve.options import ServeOptions
from capcli.serve.refusal import ClientLeft, Refused

_T = TypeVar("_T")

_LARGEST_TOGETHER = 8
"""How many requests of the largest size are held at once: the queue is far longer, but most requests are small."""


class Admission:
    """Lets requests in as long as there is room.

    Args:
        options: the limits.
        delay: tells after how many seconds it may go better.
    """

    def __init__(self, options: ServeOptions, delay: Callable[[], int]) -> None:
        self._options, self._delay = options, delay
        self._held = 0
        self.count = 0

    @contextmanager
    def enter(self, request: Request) -> Iterator[None]:
        """Holds a place for a request; raises Refused where there is none, and for one that is too large."""
        length = self._length(request)
        full = self.count >= self._options.queue
        if full or self._held + length > _LARGEST_TOGETHER * self._options.max_bytes:
            raise Refused(429, "too many requests are in hand; try again later", retry_after=self._delay())
        self.count, self._held = self.count + 1, self._held + length
        try:
            yield
        finally:
            self.count, self._held = self.count - 1, self._held - length

    async def receive(self, request: Request) -> bytes:
        """All of a request's body.

        Raises:
            Refused: for more bytes than are taken, and for a client that does not send them in time.
            ClientLeft: the client went away before the end.
        """
        seconds = self._options.timeout
        try:
            return await asyncio.wait_for(self._collect(request), seconds)
        except asyncio.TimeoutError:
            raise Refused(408, f"the request did not arrive within {seconds:g} s", closes=True) from None
        except ClientDisconnect:
            raise ClientLeft from None

    async def await_answer(self, request: Request, work: Awaitable[_T]) -> _T:
        """What comes of some work, which is cancelled where nobody waits for it any more.

        Raises:
            Refused: it takes too long.
            ClientLeft: the client went away.
        """
        seconds = self._options.timeout
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_wait_until_left(request))
        try:
            await asyncio.wait({working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            if leaving.done():
                raise ClientLeft
            raise Refused(503, f"there was no answer within {seconds:g} s; try again later", retry_after=self._delay())
        finally:
            working.cancel()
            leaving.cancel()

    def _length(self, request: Request) -> int:
        """The bytes that a request may have; raises Refused where it says that they are too many."""
        header = request.headers.get("content-length")
        length = self._options.max_bytes if header is None else int(header)  # h11 lets no other text through
        if length > self._options.max_bytes:
            raise self._too_large()
        return length

    async def _collect(self, request: Request) -> bytes:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._options.max_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> Refused:
        return Refused(413, f"a request may have {self._options.max_bytes:,} bytes; send smaller pictures, or fewer")


async def _wait_until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
