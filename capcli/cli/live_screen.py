"""A camera on the terminal: the picture in half blocks and its sentence, or lines where that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.cells import chop_cells
from rich.console import Console

from capcli.cli.screen import colour_of
from capcli.heatmap.terminal import draw_blocks, fit_into
from capcli.video.formats import clock, one_line
from capcli.video.live import Display, Sight
from capcli.video.pixels import to_picture

_SIDE = 640
_LINES = 4
"""Below the picture, for the sentence and the delay."""

_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To the terminal's other page without a cursor, and back."""


class Rows:
    """A line for each new sentence: time, sentence, delay in milliseconds, with tabs between them."""

    def __init__(self) -> None:
        self._sentence = ""

    def show(self, sight: Sight) -> None:
        if sight.new and sight.caption.text != self._sentence:
            self._sentence = sight.caption.text
            line = f"{clock(sight.arrival.time)}\t{one_line(self._sentence)}\t{format_delay(sight)}\n"
            sys.stdout.buffer.write(line.encode(sys.stdout.encoding or "utf-8", "replace"))
            sys.stdout.buffer.flush()


class Picture:
    """Draws the picture and its sentence over the ones before, as large as the terminal."""

    def __init__(self, console: Console) -> None:
        self._console, self._colour = console, colour_of(console)

    def show(self, sight: Sight) -> None:
        picture = to_picture(sight.arrival.frame, _SIDE, sight.pixel)
        columns, rows = self._console.size
        width, height = fit_into(picture.size, max(1, columns), max(1, rows - _LINES))
        small = picture.resize((width, 2 * height), reducing_gap=3.0)
        sentence = chop_cells(one_line(sight.caption.text), max(1, columns))[: _LINES - 2]
        lines = [*draw_blocks(small, self._colour), *sentence, f"{format_delay(sight)}, Ctrl-C ends it"]
        # Each line is cleared behind what is new, so that nothing flickers.
        drawn = "\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines) + "\x1b[J"
        sys.stdout.buffer.write(drawn.encode(sys.stdout.encoding or "utf-8", "replace"))
        sys.stdout.buffer.flush()


@contextmanager
def open_display() -> Iterator[Display]:
    """The picture on a terminal with colours, lines anywhere else."""
    console = Console(file=sys.stdout)
    if colour_of(console) == "none":
        yield Rows()
        return
    sys.stdout.write(_BEGIN)
    sys.stdout.flush()
    try:
        yield Picture(console)
    finally:
        sys.stdout.write(_END)
        sys.stdout.flush()


def format_delay(sight: Sight) -> str:
    """How late the sentence was, for people."""
    return f"{1000 * sight.delay:.0f} ms"
