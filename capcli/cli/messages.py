"""What is said to the user on stderr, beside the results on stdout."""

from __future__ import annotations

from contextlib import suppress

import typer


def tell(text: str) -> None:
    """Say one line on stderr; where nobody can hear it, as behind a closed terminal, the work goes on all the same."""
    with suppress(OSError, ValueError):
        typer.echo(f"capcli: {text}", err=True)
