"""Heatmaps drawn in the terminal itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from capcli.files.names import escape

if TYPE_CHECKING:
    from capcli.caption import Caption

# Enough for a panel as wide as a terminal ever is, two pixels in a character.
_SIDE = 640

_WIDTH = 80
"""In characters, where nobody knows."""

_COLOURS: dict[str, Literal["truecolor", "256"]] = {"truecolor": "truecolor", "256": "256", "standard": "256"}
"""What the system that rich finds can show; every other terminal gets shades."""


class Screen:
    """Draws to stdout as wide as the terminal, in the colours that it has; in a pipe, or with NO_COLOR, in shades.

    Args:
        named: whether the picture's path stands before the sentence above its drawing.
    """

    def __init__(self, *, named: bool) -> None:
        console = Console(file=sys.stdout)
        self._colour = colour_of(console)
        # A terminal that does not know how wide it is says 0.
        self._width, self._named = console.width or _WIDTH, named
        self._begun = False

    def is_settled(self, picture: Path) -> bool:
        """None is."""
        return False

    def begin(self) -> None:
        """Nothing has to be made ready."""

    def write(self, picture: Path, caption: Caption, *, method: str, model: str) -> list[Path]:
        """Draw a picture; no file is written. Raises UnreadableImage."""
        from capcli.heatmap.terminal import printable, render
        from capcli.pictures.read import read_picture

        lines = render(read_picture(picture, at_least=_SIDE), caption, self._width, colour=self._colour)
        drawing = "".join(f"{line}\n" for line in lines).encode(sys.stdout.encoding or "utf-8", "replace")
        sentence = f"{printable(caption.text)}\n".encode(sys.stdout.encoding or "utf-8", "replace")
        above = os.fsencode(f"{escape(picture)}\t") if self._named else b""
        sys.stdout.buffer.write(b"\n" * self._begun + above + sentence + drawing)
        self._begun = True
        sys.stdout.buffer.flush()
        return []

    def fail(self, picture: Path, reason: str) -> None:
        """Nothing is drawn of a failed picture."""

    def finish(self) -> list[str]:
        """Everything is drawn by now, in the terminal's own font."""
        return []


def colour_of(console: Console) -> Literal["truecolor", "256", "none"]:
    """The colours in which half blocks can be drawn on a console, none where it is no terminal or wants no colour."""
    able = console.is_terminal and not console.no_color and _can_show("▀")
    return _COLOURS.get(console.color_system or "", "none") if able else "none"


def _can_show(letter: str) -> bool:
    try:
        letter.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
