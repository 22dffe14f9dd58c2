"""The server: it takes its port, loads the model, and answers until a signal ends it."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn

from capcli.decoding.options import DecodingKeywords
from capcli.errors import CapcliError, UsageError
from capcli.keywords.chooser import read_chooser
from capcli.keywords.options import MOST, KeywordOptions
from capcli.model.options import ModelOptions
from capcli.pictures.stream import ReadingPool
from capcli.runs.observer import Observer
from capcli.runs.session import Load, load_captioner
from capcli.serve.application import make_application
from capcli.serve.connection import make_connections
from capcli.serve.desk import Desk
from capcli.serve.guard import Guard
from capcli.serve.metrics import Metrics
from capcli.serve.options import ServeOptions
from capcli.web.listening import listen

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from capcli.captioning import BaseCaptioner
    from capcli.decoding.options import DecodingOptions
    from capcli.keywords.chooser import KeywordChooser

_KEPT_ALIVE = 30
"""Seconds that an idle connection is kept."""

_MARGIN = 5
"""Seconds beyond the time of a request in which the last ones are answered when the server ends."""

_ENDS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises them once more at the end, which then would be no good one.
        before = {number: signal.signal(number, self.handle_exit) for number in _ENDS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    options: ServeOptions,
    model: ModelOptions,
    decoding: DecodingKeywords,
    ready: Callable[[str], None],
    *,
    vocabulary: Path | None = None,
    load: Load = load_captioner,
    observer: Observer | None = None,
) -> None:
    """Answers until Ctrl-C or SIGTERM; then nobody new is let in, and who is in gets an answer.

    Args:
        options: where it listens, and its limits.
        model: that captions.
        decoding: fields of `DecodingOptions` that take the place of the model's own in each request.
        ready: is given the server's address once it answers.
        vocabulary: a file with the only words that may be keywords.
        load: loads the model.
        observer: hears what its user has to know.

    Raises:
        UsageError: the address is none of this computer's or is open to others without a token, the port is taken, or
            an option is beyond the model.
        ModelError: if there is no such model, or its file cannot be used.
    """
    token, observer = options.read_token(), observer or Observer()
    with closing(listen(options.port, options.host)) as listener:
        guard = _guard(listener, token, options.host)
        with ReadingPool(patience=options.timeout) as pool:  # whose processes load while the model does
            captioner, own = _load(model, decoding, load, observer)
            chooser, metrics = _chooser(captioner, model, vocabulary), Metrics()
            limits: Any = {"batch_size": model.batch_size, "max_pixels": options.max_pixels}
            desk = Desk(captioner, pool, own, chooser, metrics=metrics, **limits)
            ready(_address(listener))
            _make_server(make_application(desk, options, guard, metrics, observer), options).run(sockets=[listener])


def _load(
    model: ModelOptions, decoding: DecodingKeywords, load: Load, observer: Observer
) -> tuple[BaseCaptioner, DecodingOptions]:
    """The model, which has captioned once, and its options."""
    captioner = load(model)
    for note in captioner.notes:
        observer.warn(note)
    own = captioner.options.replace(**decoding)
    captioner.check(own)
    # The first caption of a process takes far longer than all others.
    captioner.caption_arrays(np.zeros((1, captioner.size, captioner.size, 3), np.uint8), own)
    return captioner, own


def _make_server(app: ASGIApp, options: ServeOptions) -> _Server:
    config = uvicorn.Config(
        app,
        http=make_connections(options.timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=int(options.timeout) + _MARGIN,
    )
    return _Server(config)


def _guard(listener: socket.socket, token: str | None, host: str) -> Guard:
    """Who may ask; raises UsageError where everybody could."""
    address, port = listener.getsockname()[:2]
    local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not local and token is None:
        raise UsageError(f"--host {host} lets other computers in: add --token-file FILE, which holds a secret")
    names = [_spell(address), "localhost", "127.0.0.1", "[::1]"]
    return Guard(token, [f"{name}:{port}" for name in names] + (names if port == 80 else []))


def _address(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://{_spell(address)}:{port}"


def _spell(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _chooser(captioner: BaseCaptioner, model: ModelOptions, vocabulary: Path | None) -> KeywordChooser | None:
    """What gives keywords; None for a model that has none."""
    try:
        return read_chooser(model.model, KeywordOptions(MOST, vocabulary))
    except CapcliError:
        if vocabulary is not None:
            raise
        return None
