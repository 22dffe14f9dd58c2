"""`capcli caption`: a sentence for every photograph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console, leave, open_session
from capcli.cli.messages import inform
from capcli.cli.options import Group, check_decoding, takes
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.keywords.options import KeywordOptions
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.output.options import OutputOptions
from capcli.pictures.kinds import is_film_file
from capcli.pictures.options import InputOptions
from capcli.runs.session import Arriving, load_captioner
from capcli.runs.tally import Tally
from capcli.video.options import FilmOptions

if TYPE_CHECKING:
    from capcli.output.outputs import Outputs


@takes(
    inputs=Group(InputOptions, "Pictures", common=("recursive",)),
    outputs=Group(OutputOptions, "Output", common=("output", "format", "sidecar", "resume", "overwrite")),
    wanted=Group(KeywordOptions, "Output", common=("keywords",)),
    decoding=Group(DecodingOptions, "Choice of words", common=("num_captions",)),
    place=Group(ModelOptions, "Model", common=("model",)),
    moving=Group(FilmOptions, "Films", common=("every",)),
)
def caption(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Photographs, folders of them, - for a list on stdin; or one film."),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Caption what is in it, then what arrives, until Ctrl-C.", rich_help_panel="Pictures"
        ),
    ] = None,
    *,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    wanted: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
    moving: dict[str, Any],
) -> None:
    """Caption photographs: the sentence for one file, `path<TAB>caption` for several or for a folder.

    One film gets captions with times. A picture that cannot be read gets its row or a line on stderr, the rest goes on,
    and the exit code is 1.
    """
    # Everything that can be wrong with paths and outputs is told before torch takes its seconds.
    options, to, given = InputOptions(**inputs), OutputOptions(**outputs), ModelOptions(**place)
    paths = paths or []
    found, base = options.find(paths, watch)
    alone = watch is None and len(paths) == 1 and found.pictures == [Path(paths[0])]
    check_decoding(decoding)
    words = KeywordOptions(**wanted)
    if alone and is_film_file(found.pictures[0]):
        _caption_film(context, found.pictures[0], FilmOptions(**moving), to, given, decoding, {**outputs, **wanted})
        return
    if moving:
        raise UsageError(f"{flag_of(next(iter(moving)))} is of films; name one film alone")

    from capcli.keywords.chooser import keyword_origin, read_chooser
    from capcli.library.keeping import LibraryFile
    from capcli.output.outputs import Outputs
    from capcli.runs.writing import WriteCaptions

    chooser, made_by = read_chooser(given.model, words), keyword_origin(words)
    console = Console(summary=not alone)
    with Outputs(to, sys.stdout.buffer, base, open_library=LibraryFile, alone=alone, keywords=made_by) as sinks:
        arriving = None if watch is None else _watching(watch, options, set(found.pictures), sinks)
        with open_session(context, given, decoding, console) as session:
            job = WriteCaptions(sinks, with_words=to.with_words, chooser=chooser)
            tally = session.run(job, found.pictures, notes=found.notes, arriving=arriving)
    console.conclude(tally)
    leave(tally)


def _caption_film(
    context: typer.Context,
    path: Path,
    options: FilmOptions,
    to: OutputOptions,
    model: ModelOptions,
    decoding: DecodingKeywords,
    chosen: dict[str, Any],
) -> None:
    from capcli.cli.film import caption_film_file, check_options

    check_options(chosen)
    caption_film_file(path, options, to, model, decoding, load=context.obj or load_captioner)


def _watching(folder: Path, options: InputOptions, seen: set[Path], outputs: Outputs) -> Arriving:
    """Gives the pictures that come into a folder, but for those that are seen or settled already."""

    def arriving(interrupt: Event, tally: Tally) -> Iterator[Path | None]:
        from capcli.pictures.watch import watch

        yield None  # what is there already is not kept waiting for what comes
        inform(f"watching {folder}; Ctrl-C ends it")
        for picture in watch(folder, options, interrupt, seen=seen):
            if picture is not None and outputs.settled(picture):
                tally.skipped += 1
                continue
            if picture is not None:
                outputs.forget([picture])
            yield picture

    return arriving
