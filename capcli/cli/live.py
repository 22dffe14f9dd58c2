"""`capcli live`: what a camera sees, in sentences, while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from capcli.cli.console import Console
from capcli.cli.options import Group, check_decoding, takes
from capcli.cli.review import announce, need_server
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.model.options import ModelOptions
from capcli.runs.session import load_captioner
from capcli.video.options import LiveOptions

if TYPE_CHECKING:
    from capcli.video.live import Display


@takes(
    options=Group(LiveOptions, "Live", common=("camera", "every", "page", "port", "open")),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def live(context: typer.Context, *, options: dict[str, Any], decoding: DecodingKeywords, place: dict[str, Any]) -> None:
    """Say in sentences what a camera sees, until Ctrl-C or the end of what plays.

    A terminal shows the picture and its sentence; anything else gets a line for each new sentence, with the time since
    the first frame and the delay from the frame to the sentence.
    """
    wanted, model = LiveOptions(**options), ModelOptions(**place)
    check_decoding(decoding)
    if wanted.open and not wanted.page:
        raise UsageError("--open opens the page in the browser: add --page")
    if "port" in options and not wanted.page:
        raise UsageError("--port is where the page is served: add --page")

    from capcli.video.camera import find_source
    from capcli.video.extra import import_av
    from capcli.video.feed import Feed
    from capcli.video.live import caption_live, warm_up
    from capcli.video.viewer import make_viewer

    import_av()
    source = find_source(wanted.camera)
    # Before the seconds that the model takes: a camera that is missing, a port that is taken.
    display, feed, console = _page(wanted, source.name) if wanted.page else _terminal(), Feed(source), Console()
    load = context.obj or load_captioner
    captioner = load(model)
    chosen = captioner.options.replace(**decoding)
    captioner.check(chosen)
    viewer = make_viewer(captioner, chosen, model, load)
    warm_up(viewer)
    with console.interruptible() as leave, feed, display as shown:
        account = caption_live(feed, viewer, shown, every=wanted.every, scene_change=wanted.scene_change, leave=leave)
    console.finish(str(account))


@contextmanager
def _terminal() -> Iterator[Display]:
    from capcli.cli.live_screen import open_display

    with open_display() as display:
        yield display


@contextmanager
def _page(options: LiveOptions, name: str) -> Iterator[Display]:
    need_server("--page")
    from capcli.video.page import Board, make_application
    from capcli.web.serving import served

    board = Board()
    with served(lambda token, port: make_application(board, name, token, port), options.port) as address:
        announce(f"it shows {name}", opens=options.open)(address)
        try:
            yield board
        finally:
            board.end()
