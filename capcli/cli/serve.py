"""`capcli serve`: captions and heatmaps for other programs, over HTTP."""

from __future__ import annotations

import sys
from typing import Any

import typer

from capcli.cli.console import Console
from capcli.cli.messages import inform
from capcli.cli.options import Group, check_decoding, takes
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.keywords.options import KeywordOptions
from capcli.model.options import ModelOptions
from capcli.runs.session import load_captioner
from capcli.serve.options import ServeOptions


@takes(
    options=Group(ServeOptions, "Limits", common=("host", "port", "token_file")),
    decoding=Group(DecodingOptions, "Choice of words"),
    wanted=Group(KeywordOptions, "Model", without=("keywords",)),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def serve(
    context: typer.Context,
    *,
    options: dict[str, Any],
    decoding: DecodingKeywords,
    wanted: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Answer other programs over HTTP: captions, heatmaps, and OpenAI's chat completions with pictures.

    It prints its address once it answers, and serves this computer alone until Ctrl-C or SIGTERM. It keeps no picture
    and fetches nothing.

    POST pictures to /v1/captions or /v1/heatmaps, as files of a form or in base64 in JSON, or chats to
    /v1/chat/completions. GET /healthz and /metrics to watch it.
    """
    given, model = ServeOptions(**options), ModelOptions(**place)
    check_decoding(decoding)
    _need_server()
    from capcli.serve.server import serve as run

    load = context.obj or load_captioner
    run(given, model, decoding, _announce, vocabulary=wanted.get("vocabulary"), load=load, observer=Console())


def _need_server() -> None:
    """Raises UsageError, which says what to install, where the extra is not there."""
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        known = ("starlette", "uvicorn", "prometheus_client", "python_multipart")
        if (error.name or "").partition(".")[0] not in known:
            raise
        raise UsageError(f'capcli serve needs {error.name}: pip install "capcli[serve]"') from None


def _announce(address: str) -> None:
    typer.echo(address)
    sys.stdout.flush()
    inform("it answers at this address until Ctrl-C; capcli serve --help says what to ask")
