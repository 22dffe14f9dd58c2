"""What commands say on stderr, beside the results on stdout, and JSON on stdout."""

from __future__ import annotations

import sys
from contextlib import suppress

import typer

from capcli.files.names import printable


def tell(text: str) -> None:
    """Print one line on stderr.

    Nothing in the text can steer the terminal, see `printable`: callers hand over names as they are. Where stderr is
    closed, the work goes on all the same.
    """
    with suppress(OSError, ValueError):
        typer.echo(f"capcli: {printable(text)}", err=True)


_hushed = False


def hush(wanted: bool) -> None:
    """Have `inform`, and progress bars, say nothing from now on, or again what they have to say."""
    global _hushed
    _hushed = wanted


def is_hushed() -> bool:
    """Whether the user wants to hear of what goes wrong alone."""
    return _hushed


def inform(text: str) -> None:
    """Print one line on stderr that is good to know, unless the user wants none."""
    if not _hushed:
        tell(text)


def print_json(content: object) -> None:
    """Print plain values on stdout: indented, in UTF-8 as JSON always is, whatever the terminal's encoding."""
    from capcli.files.json import dumps

    sys.stdout.buffer.write(dumps(content, indent=2) + b"\n")


def see_help(command: str) -> str:
    """Where the options and arguments of a command stand, as the end of a message."""
    return f"{command} --help shows what there is"
