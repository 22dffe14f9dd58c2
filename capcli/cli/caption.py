"""`capcli caption`: a sentence for every photograph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console, leave, open_session
from capcli.cli.options import Group, takes
from capcli.decoding.options import MOST_WORDS, DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.keywords.options import KeywordOptions
from capcli.model.options import ModelOptions
from capcli.output.options import OutputOptions
from capcli.pictures.options import InputOptions
from capcli.runs.options import RAY, SharingOptions
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.output.outputs import Outputs
    from capcli.output.shard import Share
    from capcli.pictures.find import Found
    from capcli.runs.session import Session


@takes(
    inputs=Group(InputOptions, "Pictures", common=("recursive",)),
    outputs=Group(OutputOptions, "Output", common=("output", "format", "sidecar", "resume", "overwrite")),
    wanted=Group(KeywordOptions, "Output", common=("keywords",)),
    sharing=Group(SharingOptions, "Several machines"),
    decoding=Group(DecodingOptions, "Choice of words", common=("num_captions",)),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def caption(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Photographs, folders of them, or - for a list on stdin."),
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
    sharing: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
) -> None:
    """Caption photographs: the sentence for one file, `path<TAB>caption` for several or for a folder.

    A file that cannot be read gets its row or a line on stderr, the rest goes on, and the exit code is 1.
    """
    # Everything that can be wrong with paths and outputs is told before torch takes its seconds.
    options, to, given = InputOptions(**inputs), OutputOptions(**outputs), ModelOptions(**place)
    shared, words = SharingOptions(**sharing), KeywordOptions(**wanted)
    if watch is not None and (shared.shard or shared.on == RAY):
        raise UsageError("--watch waits for more pictures, and what is shared is a whole list; leave one out")
    if shared.on == RAY:
        from capcli.cli.cluster import caption_elsewhere

        caption_elsewhere(paths or [], options, to, words, shared, decoding, given)
        return
    found, base = options.find(paths or [], watch)
    alone = watch is None and paths is not None and len(paths) == 1 and found.pictures == [Path(paths[0])]
    _refuse_contradictions(decoding)

    from capcli.keywords.chooser import keyword_origin, read_chooser
    from capcli.library.keeping import LibraryFile
    from capcli.output.outputs import Outputs

    chooser, made_by = read_chooser(given.model, words), keyword_origin(words)
    console = Console(summary=not alone)
    begin = partial(open_session, context, given, decoding, console)
    places: Any = {"open_library": LibraryFile, "alone": alone, "keywords": made_by, "shard": shared.part}
    job: Any = {"with_words": to.with_words, "chooser": chooser, "share": shared.share(found.pictures, base)}
    with Outputs(to, sys.stdout.buffer, base, **places) as sinks, begin() as session:
        tally = _caption(session, sinks, found, console, None if watch is None else (watch, options), **job)
    console.conclude(tally)
    leave(tally)


def _refuse_contradictions(decoding: DecodingKeywords) -> None:
    """Raises UsageError for what contradicts itself whatever the model's own options are."""
    asked: DecodingKeywords = {"max_length": MOST_WORDS, **decoding}
    DecodingOptions(**asked)


def _caption(
    session: Session,
    outputs: Outputs,
    found: Found,
    console: Console,
    watched: tuple[Path, InputOptions] | None,
    *,
    share: Share | None,
    **how: Any,
) -> Tally:
    """Captions what was found, or a share of it, and what arrives in a folder that is watched."""
    from capcli.runs.writing import WriteCaptions

    pictures = found.pictures if share is None else list(share.pictures)

    def arriving(interrupt: Event, tally: Tally) -> Iterator[Path | None]:
        assert watched is not None
        yield None  # what is there already is not kept waiting for what comes
        console.inform(f"watching {watched[0]}; Ctrl-C ends it")
        yield from _arriving(*watched, set(pictures), outputs, interrupt, tally)

    job = WriteCaptions(outputs, share=share, **how)
    tally = session.run(job, pictures, notes=found.notes, arriving=arriving if watched else None, share=share)
    if not (tally.interrupted or watched):
        job.complete()
    return tally


def _arriving(
    folder: Path, options: InputOptions, seen: set[Path], outputs: Outputs, interrupt: Event, tally: Tally
) -> Iterator[Path | None]:
    from capcli.pictures.watch import watch

    for picture in watch(folder, options, interrupt, seen=seen):
        if picture is not None and outputs.settled(picture):
            tally.skipped += 1
            continue
        if picture is not None:
            outputs.forget([picture])
        yield picture
