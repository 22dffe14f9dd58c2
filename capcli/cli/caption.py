"""`capcli caption`: a sentence for every photograph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console, leave, open_session
from capcli.cli.options import Group, check_decoding, takes
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError
from capcli.keywords.options import KeywordOptions
from capcli.library.options import BurstOptions
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.output.options import LIBRARY, OutputOptions
from capcli.pictures.kinds import is_film_file
from capcli.pictures.options import InputOptions
from capcli.runs.options import RAY, SharingOptions
from capcli.runs.session import load_captioner
from capcli.runs.tally import Tally
from capcli.video.options import FilmOptions

if TYPE_CHECKING:
    from capcli.keywords.chooser import KeywordChooser
    from capcli.output.outputs import Outputs
    from capcli.output.shard import Share
    from capcli.pictures.find import Found
    from capcli.runs.session import Session
    from capcli.runs.writing import WriteCaptions


@takes(
    inputs=Group(InputOptions, "Pictures", common=("recursive",)),
    outputs=Group(OutputOptions, "Output", common=("output", "format", "sidecar", "resume", "overwrite")),
    wanted=Group(KeywordOptions, "Output", common=("keywords",)),
    sharing=Group(SharingOptions, "Several machines"),
    bursts=Group(BurstOptions, "Output"),
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
    sharing: dict[str, Any],
    bursts: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
    moving: dict[str, Any],
) -> None:
    """Caption photographs: the sentence for one file, `path<TAB>caption` for several or for a folder.

    One film gets captions with times. A picture that cannot be read gets its row or a line on stderr, the rest goes on,
    and the exit code is 1.
    """
    # Everything that can be wrong with paths and outputs is reported before torch takes its seconds.
    options, to, given = InputOptions(**inputs), OutputOptions(**outputs), ModelOptions(**place)
    shared, words, paths = _sharing(sharing, watch, bursts, moving), KeywordOptions(**wanted), paths or []
    if shared.on == RAY:
        _caption_on_ray(paths, options, to, words, shared, decoding, given)
        return
    found, base = options.find(paths, watch)
    alone = watch is None and found.alone
    check_decoding(decoding)
    if alone and is_film_file(found.pictures[0]):
        chosen = {**outputs, **wanted, **bursts, **sharing}
        _caption_film(context, found.pictures[0], moving, to, given, decoding, chosen)
        return
    _refuse(moving)
    together = _bursts(bursts, to)
    console = Console(summary=not alone)
    arriving = None if watch is None else partial(_arriving, watch, options, found.remember(), console=console)
    session = partial(open_session, context, given, decoding, console)
    tally = _caption(
        *(session, found, to, given, together, arriving), base=base, alone=alone, words=words, sharing=shared
    )
    console.conclude(tally)
    leave(tally)


def _caption(
    begin: Callable[[], Session],
    found: Found,
    to: OutputOptions,
    model: ModelOptions,
    bursts: BurstOptions,
    arriving: Callable[..., Iterator[Path | None]] | None,
    *,
    base: Path,
    alone: bool,
    words: KeywordOptions,
    sharing: SharingOptions,
) -> Tally:
    """Captions what was found, or a share of it, and what arrives."""
    from capcli.keywords.chooser import keyword_origin, read_chooser
    from capcli.library.keeping import LibraryFile
    from capcli.output.outputs import Outputs

    chooser, made_by = read_chooser(model.model, words), keyword_origin(words)
    places: Any = {"open_library": LibraryFile, "alone": alone, "keywords": made_by, "shard": sharing.part}
    with Outputs(to, sys.stdout.buffer, base, **places) as sinks, begin() as session:
        share = sharing.share(found, base)
        job = _job(sinks, to, chooser, bursts, share)
        pictures: Iterable[Path] = found.pictures if alone else found
        if share is not None:
            pictures = share.pictures
        coming = partial(arriving, sinks) if arriving else None
        tally = session.run(job, pictures, notes=lambda: found.notes, arriving=coming, share=share)
        if not (tally.interrupted or arriving):
            job.complete()
    return tally


def _sharing(
    chosen: dict[str, Any], watch: Path | None, bursts: dict[str, Any], moving: dict[str, Any]
) -> SharingOptions:
    """How the run is shared; raises UsageError for what cannot be done where several machines share a list."""
    options = SharingOptions(**chosen)
    if not chosen:
        return options
    alone = [name for name in ("captioner_cpus", "captioner_gpus", "patience") if name in chosen]
    if alone and options.on != RAY:
        raise UsageError(f"{flag_of(alone[0])} is for a cluster: add --on ray, or leave it out")
    if watch is not None:
        raise UsageError("--watch waits for more pictures, and what is shared is a whole list; leave one out")
    if bursts or moving:
        name = flag_of(next(iter({**bursts, **moving})))
        raise UsageError(f"{name} looks at pictures beside each other, and several machines share them; leave one out")
    return options


def _caption_on_ray(paths: list[str], *options: Any) -> None:
    from capcli.cli.cluster import caption_elsewhere

    caption_elsewhere(paths, *options)


def _bursts(chosen: dict[str, Any], to: OutputOptions) -> BurstOptions:
    bursts = BurstOptions(**chosen)
    bursts.check_format(library=to.row_format == LIBRARY)
    return bursts


def _job(
    outputs: Outputs, to: OutputOptions, chooser: KeywordChooser | None, bursts: BurstOptions, share: Share | None
) -> WriteCaptions:
    from capcli.library.bursts import read_bursts
    from capcli.runs.writing import WriteCaptions

    seen = read_bursts(outputs.library, bursts)
    return WriteCaptions(outputs, with_words=to.with_words, chooser=chooser, bursts=seen, share=share)


def _caption_film(
    context: typer.Context,
    path: Path,
    moving: dict[str, Any],
    to: OutputOptions,
    model: ModelOptions,
    decoding: DecodingKeywords,
    chosen: dict[str, Any],
) -> None:
    from capcli.cli.film import caption_film_file, check_options

    check_options(chosen)
    options = FilmOptions(**moving)
    caption_film_file(path, options, to, model, decoding, load=context.obj or load_captioner)


def _refuse(moving: dict[str, Any]) -> None:
    """Raises UsageError for options of films where there is none."""
    if moving:
        raise UsageError(f"{flag_of(next(iter(moving)))} is of films; name one film alone")


def _arriving(
    folder: Path,
    options: InputOptions,
    seen: set[Path],
    outputs: Outputs,
    interrupt: Event,
    tally: Tally,
    *,
    console: Console,
) -> Iterator[Path | None]:
    from capcli.pictures.watch import watch

    yield None  # what is there already is not kept waiting for what comes
    console.inform(f"watching {folder}; Ctrl-C ends it")
    for picture in watch(folder, options, interrupt, seen=seen):
        if picture is not None and outputs.settled(picture):
            tally.skipped += 1
            continue
        if picture is not None:
            outputs.forget([picture])
        yield picture
