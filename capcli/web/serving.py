"""A server for one user, on this computer alone."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from capcli.library.review import holding
from capcli.model.options import ModelOptions
from capcli.ratings.session import Session
from capcli.web.application import make_application as make_review
from capcli.web.heatmaps import Heatmaps
from capcli.web.listening import LOCAL, listen
from capcli.web.options import ReviewOptions
from capcli.web.rating import make_application as make_rating

MakeApplication = Callable[[str, int], ASGIApp]
"""Makes what answers, for the secret that the address holds, and a port."""


class _Server(uvicorn.Server):
    """A server that says when a signal ends it, before it waits for its last answers."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending()
        super().handle_exit(sig, frame)


def serve(
    make_application: MakeApplication,
    port: int,
    ready: Callable[[str], None],
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serves a page until Ctrl-C or SIGTERM.

    Args:
        make_application: gives what answers, for a secret that its address holds and a port.
        port: to listen on; 0 for any free one.
        ready: is given the address of the page once the port is taken.
        ending: is called when a signal ends the server, in the handler of signals.

    Raises:
        UsageError: the port is taken.
    """
    with listen(port) as listener:
        server, address = _make_server(make_application, listener, ending)
        ready(address)
        with suppress(KeyboardInterrupt):  # which the server repeats when it has ended
            server.run(sockets=[listener])


@contextmanager
def served(make_application: MakeApplication, port: int) -> Iterator[str]:
    """Serves a page in a thread of its own until the end of the block, and gives its address.

    Takes and raises what `serve` does.
    """
    with listen(port) as listener:
        server, address = _make_server(make_application, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _make_server(
    make_application: MakeApplication, listener: socket.socket, ending: Callable[[], None] = lambda: None
) -> tuple[uvicorn.Server, str]:
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
    return _Server(config, ending), f"http://{LOCAL}:{port}/{token}/"


def serve_review(library: Path, options: ReviewOptions, model: ModelOptions, ready: Callable[[str], None]) -> None:
    """Serves the page on which people review a library, with heatmaps of the model that captioned it; see `serve`.

    Raises:
        UsageError: there is no library, it may not be written, or the port is taken.
        CapcliError: the library is locked or damaged.
    """
    with holding(library), Heatmaps(model) as heatmaps:

        def make(token: str, port: int) -> ASGIApp:
            return make_review(library, options.name, heatmaps, token, port)

        serve(make, options.port, ready, ending=heatmaps.end)


def serve_rating(session: Session, store: str, options: ReviewOptions, ready: Callable[[str], None]) -> None:
    """Serves the page on which one rater judges captions; see `serve`."""
    serve(lambda token, port: make_rating(session, store, token, port), options.port, ready)
