"""A client's connection, which is not held by one that sends the head of a request slowly, or never."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from capcli.serve.payload import JSON
from capcli.serve.refusal import Refused


def make_connections(seconds: float) -> type[asyncio.Protocol]:
    """The class of connections on which the head of each request must arrive within some seconds."""

    class Bounded(Connection):
        patience = seconds

    return Bounded


class Connection(H11Protocol):
    """uvicorn bounds the time between two requests, but not the time that a head takes.

    Attributes:
        patience: seconds that a head may take.
    """

    patience = 60.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP."""
        self._end(Refused(400, "this is no HTTP request"))

    def _watch(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if not waits:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.patience, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._end(Refused(408, f"the request did not arrive within {self.patience:g} s"))

    def _end(self, refused: Refused) -> None:
        """Answers, where an answer can be sent still, and closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            length = str(len(refused.content))
            headers = [("content-type", JSON), ("content-length", length), ("connection", "close")]
            parts = (h11.Response(status_code=refused.status, headers=headers), h11.Data(data=refused.content))
            for part in (*parts, h11.EndOfMessage()):
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()
