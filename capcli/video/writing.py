"""Where the cues of a film go: to stdout as they come, or into a file that is there once it is whole."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import replacing, write_whole
from capcli.files.target import check_target
from capcli.pictures.kinds import refuse_pictures
from capcli.video.cues import Cue
from capcli.video.formats import About, FilmFormat

Put = Callable[[bytes], None]


def check_output(output: Path | None, film: Path, *, overwrite: bool) -> None:
    """Raises UsageError where a film's captions may not be written to `output`; None is stdout."""
    if output is None or _is_device(output):
        return
    check_target("-o", output)
    refuse_pictures(output)
    if output.exists() and output.samefile(film):
        raise UsageError(f"{film} is to be captioned, and its captions would take its place; name another file")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; --overwrite puts the new captions in its place")


@contextmanager
def opened(output: Path | None, stdout: BinaryIO) -> Iterator[Put]:
    """Gives a function that takes bytes: to stdout, to a device, or to a file.

    A file has its name from the end of the block on, and then it is whole. If the block is left by an exception, or the
    process is killed, what was there before is there still.

    Raises:
        CapcliError: if the disk does not take it, or another run writes the same file.
    """
    if output is None or _is_device(output):
        stream = stdout if output is None else output.open("wb")

        def put(content: bytes) -> None:
            stream.write(content)
            stream.flush()

        put(b"")  # a stream that takes nothing is found before any work is done for it
        try:
            yield put
        finally:
            if output is not None:
                stream.close()
        return
    try:
        with replacing(output) as file:
            yield lambda content: write_whole(file, content)
        file.close()
    except OSError as error:
        raise CapcliError(f"{output}: {system_reason(error)}; nothing is written there") from None


class CueWriter:
    """Writes cues in a format.

    Args:
        put: takes the bytes.
        format: how they look.
        about: the whole.

    Attributes:
        left_out: cues of captions below the least confidence, where the format does not mark them.
    """

    def __init__(self, put: Put, format: FilmFormat, about: About) -> None:
        self._put, self._format, self._about = put, format, about
        self._begun = False
        self._written = self.left_out = 0

    def write(self, cue: Cue) -> None:
        self._begin()
        if cue.caption.uncertain and not self._format.marks:
            self.left_out += 1
            return
        self._written += 1
        self._put(self._format.cue(self._written, cue, self._about))

    def finish(self) -> None:
        """Is called after the last cue; a file without any has its beginning then."""
        self._begin()

    def _begin(self) -> None:
        if not self._begun:
            self._put(self._format.begin(self._about))
        self._begun = True


def _is_device(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except OSError:
        return False
