"""`capcli caption`: a sentence for every photograph."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Set
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.batches import account, conclude, work_off
from capcli.cli.interrupt import finishing
from capcli.cli.messages import tell
from capcli.cli.options import Group, takes
from capcli.decoding.options import MOST_WORDS, DecodingOptions
from capcli.model.options import ModelOptions
from capcli.output import Result, Writer
from capcli.output.options import OutputOptions
from capcli.pictures.find import Found
from capcli.pictures.options import InputOptions
from capcli.runs.batches import caption_pictures
from capcli.runs.resuming import plan_resume
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.captioner import Captioner
    from capcli.output.outputs import Outputs
    from capcli.pictures.stream import ReadingPool


@takes(
    inputs=Group(InputOptions, "Pictures"),
    outputs=Group(OutputOptions, "Output"),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model"),
)
def caption(
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
    decoding: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Caption photographs: the sentence for one file, `path<TAB>caption` for several or for a folder.

    A file that cannot be read gets its row or a line on stderr, the rest goes on, and the exit code is 1.
    """
    from capcli.output.outputs import Outputs

    # Everything that can be wrong with paths and outputs is told before torch takes its seconds.
    options, to, given = InputOptions(**inputs), OutputOptions(**outputs), ModelOptions(**place)
    paths = paths or []
    found, base = options.find(paths, watch)
    alone = watch is None and len(paths) == 1 and found.pictures == [Path(paths[0])]
    # What contradicts itself whatever the model's own options are.
    DecodingOptions(**{"max_length": MOST_WORDS, **decoding})
    with Outputs(to, sys.stdout.buffer, base, alone=alone) as sinks:
        todo = sinks.todo(found.pictures)
        for note in (*found.notes, *sinks.notes):
            tell(note)
        tally = Tally(
            skipped=len(found.pictures) - len(todo),
            failed_before=sum(map(sinks.failed, set(found.pictures) - set(todo))),
        )
        interrupt = None
        if todo or watch:
            from capcli.pictures.stream import ReadingPool

            # The processes that read pictures load while torch does.
            with ReadingPool() as pool:
                from capcli.captioner import Captioner

                captioner = Captioner.load(given.model, given.device, given.lm)
                chosen = captioner.options.replace(**decoding)
                captioner.check(chosen)
                with finishing() as interrupt:
                    arriving = _arriving(watch, options, found, sinks, interrupt, tally) if watch else ()
                    pictures, mates = plan_resume(todo, found.pictures, given.batch_size)
                    run(
                        captioner,
                        chain(pictures, arriving),
                        sinks,
                        pool,
                        tally,
                        options=chosen,
                        batch_size=given.batch_size,
                        with_words=to.with_words,
                        mates=mates,
                        total=len(mates) + len(todo) if watch is None else 0,
                        interrupt=interrupt,
                    )
    if sinks.kept_sidecars:
        tell(f"{sinks.kept_sidecars:,} sidecars said something else already and stayed; --overwrite replaces them")
    conclude(tally, interrupt, alone=alone)


def run(
    captioner: Captioner,
    pictures: Iterable[Path | None],
    outputs: Writer,
    pool: ReadingPool,
    tally: Tally,
    *,
    options: DecodingOptions,
    batch_size: int,
    with_words: bool = False,
    mates: Set[Path] = frozenset(),
    total: int = 0,
    interrupt: Event | None = None,
) -> None:
    """Caption `pictures`, each handed to `outputs` exactly once and in order; what fails is also told on stderr.

    Args:
        captioner: the model.
        pictures: as `capcli.runs.batches.caption_pictures` takes them.
        outputs: takes the results.
        pool: reads the pictures.
        tally: counts them.
        options: of decoding.
        batch_size: pictures captioned at once.
        with_words: put the words' log-probabilities into the results.
        mates: those of the pictures that are only there to fill a batch.
        total: how many there are, for the progress bar; 0 for no bar.
        interrupt: once set, the batch in hand is the last one.
    """

    def keep(result: Result) -> None:
        if result.path not in mates:
            account(outputs.write(result), tally)

    batches = caption_pictures(captioner, pictures, pool, options, batch_size=batch_size, with_words=with_words)
    work_off(batches, keep, tally, total=total, interrupt=interrupt)


def _arriving(
    folder: Path, options: InputOptions, found: Found, outputs: Outputs, interrupt: Event, tally: Tally
) -> Iterator[Path | None]:
    from capcli.pictures.watch import watch

    yield None  # what is there already is not kept waiting for what comes
    tell(f"watching {folder}; Ctrl-C ends it")
    for picture in watch(folder, options, interrupt, seen=set(found.pictures)):
        if picture is not None and outputs.settled(picture):
            tally.skipped += 1
            continue
        if picture is not None:
            outputs.forget([picture])
        yield picture
