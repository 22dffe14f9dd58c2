"""A server for one user, on this computer alone."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from capcli.errors import UsageError, system_reason
from capcli.library.review import holding
from capcli.ratings.session import Session
from capcli.web.application import make_application as make_review
from capcli.web.options import ReviewOptions
from capcli.web.rating import make_application as make_rating

HOST = "127.0.0.1"

MakeApplication = Callable[[str, int], ASGIApp]
"""Makes what answers, for the secret that the address holds, and a port."""


def serve(make_application: MakeApplication, port: int, ready: Callable[[str], None]) -> None:
    """Serves a page until Ctrl-C or SIGTERM.

    Args:
        make_application: gives what answers, for a secret that its address holds and a port.
        port: to listen on; 0 for any free one.
        ready: is given the address of the page once the port is taken.

    Raises:
        UsageError: the port is taken.
    """
    with _listen(port) as listener:
        server, address = _make_server(make_application, listener)
        ready(address)
        with suppress(KeyboardInterrupt):  # which the server repeats when it has ended
            server.run(sockets=[listener])


@contextmanager
def served(make_application: MakeApplication, port: int) -> Iterator[str]:
    """Serves a page in a thread of its own until the end of the block, and gives its address.

    Takes and raises what `serve` does.
    """
    with _listen(port) as listener:
        server, address = _make_server(make_application, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _make_server(make_application: MakeApplication, listener: socket.socket) -> tuple[uvicorn.Server, str]:
    """A server that does not run yet, and the address of its page."""
    port, token = listener.getsockname()[1], secrets.token_urlsafe(24)
    config = uvicorn.Config(
        make_application(token, port),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config), f"http://{HOST}:{port}/{token}/"


def serve_review(library: Path, options: ReviewOptions, ready: Callable[[str], None]) -> None:
    """Serves the page on which people review a library; see `serve`.

    Raises:
        UsageError: there is no library, it may not be written, or the port is taken.
        CapcliError: the library is locked or damaged.
    """
    with holding(library):
        serve(lambda token, port: make_review(library, options.name, token, port), options.port, ready)


def serve_rating(session: Session, store: str, options: ReviewOptions, ready: Callable[[str], None]) -> None:
    """Serves the page on which one rater judges captions; see `serve`."""
    serve(lambda token, port: make_rating(session, store, token, port), options.port, ready)


def _listen(port: int) -> socket.socket:
    # Only of a socket that names TCP asyncio knows that it may send small answers at once; if not, each waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # where it would share the port with another program
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken; --port 0 takes a free one, or end the other program") from None
        raise UsageError(f"port {port} cannot be used: {system_reason(error)}; --port 0 takes a free one") from None
    return listener
