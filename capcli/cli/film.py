"""A film that `capcli caption` is given alone: cues with times instead of rows of photographs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from capcli.cli.console import Console
from capcli.decoding.options import DecodingKeywords
from capcli.errors import UsageError
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.output.options import OutputOptions
from capcli.runs.session import Load
from capcli.video.captioning import caption_film
from capcli.video.film import Film
from capcli.video.formats import About, clock, find_format
from capcli.video.options import FilmOptions
from capcli.video.viewer import make_viewer
from capcli.video.writing import CueWriter, check_output, opened
from capcli.words.counting import count_of

_OF_FILMS = ("output", "format", "overwrite")
"""What of the options of outputs and keywords films have, too."""


class _Interrupted(Exception):  # noqa: N818 - the user's wish, not a fault
    """Leaves the work, so that no half file takes its name."""


def check_options(chosen: Mapping[str, Any]) -> None:
    """Raises UsageError for what is of photographs alone: sidecars, keywords, and a run that goes on."""
    for name in chosen:
        if name in ("resume", "retry_failed", "resume_anyway"):
            raise UsageError(f"a film is captioned as a whole: leave {flag_of(name)} out, --overwrite begins anew")
        if name not in _OF_FILMS:
            raise UsageError(f"{flag_of(name)} is of photographs; a film's captions go to stdout or -o FILE")


def caption_film_file(
    path: Path,
    options: FilmOptions,
    to: OutputOptions,
    model: ModelOptions,
    decoding: DecodingKeywords,
    *,
    load: Load,
) -> None:
    """Captions a film and writes its cues; raises Exit with 1 where a part of it could not be read.

    Raises:
        UnreadableFilm: if it is no film.
        UsageError: for a format of photographs, an output that may not be written, and as loading a model does.
    """
    form, console = find_format(to.row_format), Console()
    check_output(to.output, path, overwrite=to.overwrite)
    with Film(path) as film:
        captioner = load(model)
        chosen = captioner.options.replace(**decoding)
        captioner.check(chosen)
        if chosen.num_captions > 1 and not form.has_alternatives:
            console.warn("the best caption of each scene is written, the others are not; --format jsonl has all")
        viewer = make_viewer(captioner, chosen, model, load)
        begun, seen, scenes = time.monotonic(), 0, 0
        total = 0 if film.length is None else math.ceil(film.length / options.every)
        with console.interruptible() as interrupt, console.progress(total) as progress:

            def looked(count: int) -> None:
                nonlocal seen
                seen += count
                with progress.lifted(count):
                    pass
                if interrupt.is_set():
                    raise _Interrupted

            cues = caption_film(film, viewer, options, looked=looked)
            try:
                with opened(to.output, sys.stdout.buffer) as put:
                    writer = CueWriter(put, form, About(path, film.length, captioner.name))
                    for scenes, cue in enumerate(cues, 1):  # noqa: B007 - counted to the last one
                        with progress.lifted(0):
                            writer.write(cue)
                    writer.finish()
            except _Interrupted:
                nowhere = "" if to.output is None else f"; {to.output} is not written"
                console.finish(
                    f"{path}: looked at {count_of(seen, 'frame')}, captioned {count_of(scenes, 'scene')}{nowhere}"
                )
        _tell(console, film, seen, scenes, writer.left_out, time.monotonic() - begun)


def _tell(console: Console, film: Film, seen: int, scenes: int, left_out: int, seconds: float) -> None:
    if left_out:
        console.warn(f"left out {count_of(left_out, 'caption')} below the least confidence")
    if film.damage:
        console.warn(f"{film.path}: {film.damage}")
    fast = f", {film.end / seconds:.1f} x real time" if seconds else ""
    console.finish(
        f"captioned {count_of(scenes, 'scene')} in {clock(film.end)}, looked at {count_of(seen, 'frame')}{fast}"
    )
    if film.damage:
        raise typer.Exit(1)
