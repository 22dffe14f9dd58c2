"""`capcli attend`: where the model looked for every word."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Any

import typer

from capcli.cli.console import Console, leave, open_session
from capcli.cli.options import Group, check_decoding, takes
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.heatmap.options import AttendOptions
from capcli.keywords.options import KeywordOptions
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.pictures.options import InputOptions


@takes(
    inputs=Group(InputOptions, "Pictures", common=("recursive",)),
    drawing=Group(
        AttendOptions, "Drawings", common=("output", "as_", "terminal", "words", "caption", "resume", "overwrite")
    ),
    wanted=Group(KeywordOptions, "Drawings"),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def attend(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Photographs, folders of them, or - for a list on stdin."),
    ] = None,
    *,
    inputs: dict[str, Any],
    drawing: dict[str, Any],
    wanted: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
) -> None:
    """Show where the model looked for every word: heatmaps over photographs, as pictures, pages or numbers.

    Prints `path<TAB>file` for every picture's file. A picture that cannot be read gets a line on stderr, the rest
    goes on, and the exit code is 1.
    """
    wish, options, given = AttendOptions(**drawing), InputOptions(**inputs), ModelOptions(**place)
    if wish.caption is not None:
        _refuse_choices(decoding)
    check_decoding(decoding)
    if wish.method == "occlusion" and "batch_size" not in place:
        # It takes seconds a picture: each is handed over when it is done, and Ctrl-C need not wait for others.
        given = dataclasses.replace(given, batch_size=1)
    _draw(context, paths or [], options, wish, KeywordOptions(**wanted), decoding, given)


def _draw(
    context: typer.Context,
    paths: list[str],
    options: InputOptions,
    wish: AttendOptions,
    wanted: KeywordOptions,
    decoding: DecodingKeywords,
    given: ModelOptions,
) -> None:
    from capcli.heatmap.drawing import Canvas, DrawMaps
    from capcli.heatmap.files import Drawings, leave_out_drawings

    if not paths and not options.from_file:
        raise UsageError("name photographs or folders of them, or --from-file LIST")
    if not (wish.output or wish.terminal):
        raise UsageError("-o DIR says where to write; --terminal draws in the terminal instead")
    if wanted.keywords and (wish.terminal or wish.as_ not in ("html", "npz", "json")):
        raise UsageError("only --as html, npz and json show keywords; `capcli caption --keywords` writes rows of them")
    # Everything that can be wrong with paths and files is reported before torch takes its seconds.
    found, base = options.find(paths)
    canvas: Canvas
    if wish.output:
        pictures = leave_out_drawings(found, wish.output)
        canvas = Drawings(wish.as_, wish.output, base, pictures, overwrite=wish.overwrite, resume=wish.resumes)
    else:
        from capcli.cli.screen import Screen

        pictures = found.pictures
        canvas = Screen(named=not found.alone)
    from capcli.keywords.chooser import keyword_origin, read_chooser

    job = DrawMaps(canvas, wish, sys.stdout.buffer, read_chooser(given.model, wanted), keyword_origin(wanted))
    console = Console(summary=not found.alone)
    with open_session(context, given, decoding, console) as session:
        tally = session.run(job, pictures, notes=lambda: found.notes)
    console.conclude(tally)
    leave(tally)


def _refuse_choices(decoding: DecodingKeywords) -> None:
    for name in decoding:
        if name != "min_confidence":
            raise UsageError(
                f"--caption is a sentence of your own, and {flag_of(name)} is for finding one; leave one out"
            )
