"""`capcli review`: a page on which people accept, edit, reject and flag the captions of a library."""

from __future__ import annotations

import sys
from typing import Any

import typer

from capcli.cli.library import Library
from capcli.cli.messages import inform
from capcli.cli.options import Group, takes
from capcli.errors import UsageError
from capcli.web.options import ReviewOptions


@takes(options=Group(ReviewOptions, "Review", common=("port", "reviewer", "open")))
def review(library: Library, *, options: dict[str, Any]) -> None:
    """Serve a page, on this computer alone, on which you accept, edit, reject and flag captions.

    It prints the address of the page and serves it until Ctrl-C. Each change is stored at once.
    """
    wanted = ReviewOptions(**options)
    try:
        from capcli.web.serving import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise UsageError('the review page needs Starlette and uvicorn: pip install "capcli[review]"') from None

    def ready(address: str) -> None:
        typer.echo(address)
        sys.stdout.flush()
        inform(f"open this address in a browser of this computer; it serves {library} until Ctrl-C")
        if wanted.open:
            import webbrowser

            webbrowser.open(address)

    serve(library, wanted, ready)
