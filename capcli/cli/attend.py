"""`capcli attend`: where the model looked for every word."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Generator, Iterable, Set
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Protocol, TypeVar

import typer

from capcli.attribution.methods import DEFAULT_METHOD
from capcli.cli.batches import account, conclude, work_off
from capcli.cli.faithfulness import measure
from capcli.cli.interrupt import finishing
from capcli.cli.messages import tell
from capcli.cli.options import Group, takes
from capcli.decoding.options import MOST_WORDS, DecodingOptions
from capcli.errors import UnreadableImage, UsageError
from capcli.evaluation.options import CheckOptions
from capcli.files.names import escape
from capcli.heatmap.files import DrawingError, Drawings
from capcli.heatmap.options import AttendOptions
from capcli.model.options import ModelOptions
from capcli.options import flag_of
from capcli.output import Result
from capcli.pictures.options import InputOptions
from capcli.runs.batches import caption_batches, report_unreadable
from capcli.runs.resuming import plan_resume
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    import numpy as np

    from capcli.caption import Caption
    from capcli.captioner import Captioner
    from capcli.pictures.stream import Reading, ReadingPool

_T = TypeVar("_T")


@takes(
    inputs=Group(InputOptions, "Pictures"),
    drawing=Group(AttendOptions, "Drawings"),
    checking=Group(CheckOptions, "Faithfulness"),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model"),
)
def attend(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Photographs, folders of them, or - for a list on stdin."),
    ] = None,
    *,
    inputs: dict[str, Any],
    drawing: dict[str, Any],
    checking: dict[str, Any],
    decoding: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Show where the model looked for every word: heatmaps over photographs, as pictures, pages or numbers.

    Prints `path<TAB>file` for every picture's file. A picture that cannot be read gets a line on stderr, the rest
    goes on, and the exit code is 1.
    """
    wish, options, given = AttendOptions(**drawing), InputOptions(**inputs), ModelOptions(**place)
    to_check = CheckOptions(**checking)
    if to_check.check is not None:
        if paths:
            raise UsageError(f"--check measures on its own data set, so leave {paths[0]} out")
        unused = [name for name in (*inputs, *drawing) if name not in ("output", "method", "overwrite")]
        if unused:
            raise UsageError(f"--check draws nothing, so leave {flag_of(unused[0])} out")
        for name in ("batch_size", "num_captions"):
            if name in place or name in decoding:
                raise UsageError(
                    f"--check takes one picture and its best caption at a time, so leave {flag_of(name)} out"
                )
        measure(
            to_check.check,
            to_check,
            given,
            decoding,
            method=wish.method,
            output=wish.output,
            overwrite=wish.overwrite,
        )
        return
    if wish.caption is not None:
        _refuse_choices(decoding)
    DecodingOptions(**{"max_length": MOST_WORDS, **decoding})
    if wish.method == "occlusion" and "batch_size" not in place:
        # It takes seconds a picture: each is handed over when it is done, and Ctrl-C need not wait for others.
        given = dataclasses.replace(given, batch_size=1)
    _draw(paths or [], options, wish, decoding, given)


def _draw(
    paths: list[str], options: InputOptions, wish: AttendOptions, decoding: dict[str, Any], given: ModelOptions
) -> None:
    if not paths and not options.from_file:
        raise UsageError("name photographs or folders of them, or --from-file LIST")
    if not (wish.output or wish.terminal):
        raise UsageError("-o DIR says where to write; --terminal draws in the terminal instead")
    # Everything that can be wrong with paths and files is told before torch takes its seconds.
    found, base = options.find(paths)
    alone = len(paths) == 1 and found.pictures == [Path(paths[0])]
    drawings: _Drawings
    if wish.output:
        drawings = Drawings(wish.as_, wish.output, base, found.pictures, overwrite=wish.overwrite, resume=wish.resume)
        todo = drawings.todo()
    else:
        from capcli.cli.screen import Screen

        drawings, todo = Screen(named=not alone), found.pictures
    for note in found.notes:
        tell(note)
    tally = Tally(skipped=len(found.pictures) - len(todo))
    interrupt = None
    if todo:
        from capcli.pictures.stream import ReadingPool

        # The processes that read pictures load while torch does.
        with ReadingPool() as pool:
            from capcli.captioner import Captioner

            captioner = Captioner.load(given.model, given.device, given.lm)
            if decoding.get("num_captions", 1) > 1:
                tell("the best caption of each picture is drawn, the others are not")
            pictures, mates = plan_resume(todo, found.pictures, given.batch_size)
            with finishing() as interrupt:
                run(
                    captioner,
                    pictures,
                    drawings,
                    pool,
                    tally,
                    sys.stdout.buffer,
                    options=captioner.options.replace(**decoding),
                    batch_size=given.batch_size,
                    wish=wish,
                    mates=mates,
                    total=len(mates) + len(todo),
                    interrupt=interrupt,
                )
    conclude(tally, interrupt, alone=alone)


class _Drawings(Protocol):
    """Takes captions with their maps."""

    def begin(self) -> None: ...

    def write(self, picture: Path, caption: Caption, *, method: str, model: str) -> list[Path]: ...

    def fail(self, picture: Path, reason: str) -> None: ...

    def finish(self) -> list[str]: ...


def run(
    captioner: Captioner,
    pictures: Iterable[Path | None],
    drawings: _Drawings,
    pool: ReadingPool,
    tally: Tally,
    stdout: BinaryIO,
    *,
    options: DecodingOptions,
    batch_size: int,
    wish: AttendOptions,
    mates: Set[Path] = frozenset(),
    total: int = 0,
    interrupt: Event | None = None,
) -> None:
    """Draw `pictures`, each exactly once and in order; what fails is told on stderr.

    Args:
        captioner: the model.
        pictures: as `capcli.runs.batches.caption_batches` takes them.
        drawings: takes what is to be drawn.
        pool: reads the pictures for the model.
        tally: counts them.
        stdout: takes `path<TAB>file` for every picture's file.
        options: of decoding.
        batch_size: pictures given to the model at once.
        wish: which words are drawn, of which sentence, by which method.
        mates: those of the pictures that are only there to fill a batch.
        total: how many there are, for the progress bar; 0 for no bar.
        interrupt: once set, the picture in hand is the last one.

    Raises:
        UsageError: for options that the model cannot follow, or a model without attention; nothing is drawn then.
        CapcliError: if the memory does not hold even one picture, or the disk is full.
    """
    import numpy as np

    method, chosen = wish.method or DEFAULT_METHOD, wish.chosen
    told: set[str] = set()
    missing = set(chosen)

    def work(arrays: np.ndarray) -> list[Caption]:
        return captioner.attend_arrays(arrays, options, caption=wish.caption, method=method)

    def draw(path: Path, caption: Caption) -> Result | None:
        """Draws a picture; None, and why, if its caption has no word to draw."""
        _tell_unknown(caption, told)
        missing.difference_update(word.text for word in caption.words)
        words = tuple(word for word in caption.words if not chosen or word.text in chosen)
        if not words:
            which = f"none of {', '.join(sorted(chosen))} is" if chosen else "no word is"
            reason = f"{which} in its caption, {caption.text!r}"
            tell(f"{path}: {reason}")
            drawings.fail(path, reason)
            return None
        try:
            drawn = dataclasses.replace(caption, words=words)
            for file in drawings.write(path, drawn, method=method, model=captioner.name):
                stdout.write(os.fsencode(f"{escape(path)}\t{escape(file)}\n"))
                stdout.flush()
        except UnreadableImage as unreadable:
            return Result(path, error=unreadable.reason)
        except DrawingError as failed:
            return Result(path, error=str(failed))
        return Result(path, (caption.text,), (caption.confidence,), captioner.name, caption.uncertain)

    def keep(one: tuple[Reading, Caption | None]) -> None:
        reading, caption = one
        if reading.path in mates:
            return
        result = report_unreadable(reading) if caption is None else draw(reading.path, caption)
        if result is None:
            tally.undrawn += 1
            return
        if result.error is not None:
            drawings.fail(reading.path, result.error)
        account(result, tally)

    # Of no picture at all: what is wrong with the options is told before anything is made.
    work(np.empty((0, captioner.size, captioner.size, 3), np.uint8))
    drawings.begin()
    batches = caption_batches(work, pictures, pool, size=captioner.size, batch_size=batch_size)
    work_off(_one_by_one(batches), keep, tally, total=total, interrupt=interrupt)
    for note in drawings.finish():
        tell(note)
    # What was not looked at this time may have them.
    if missing and (tally.captioned or tally.undrawn) and not (tally.skipped or (interrupt and interrupt.is_set())):
        tell(f"in no caption: {', '.join(sorted(missing))}")


def _one_by_one(batches: Generator[list[_T], None, None]) -> Generator[list[_T], None, None]:
    """Of each batch every part alone, because drawing takes longer than captioning."""
    with closing(batches):
        for batch in batches:
            for one in batch:
                yield [one]


def _refuse_choices(decoding: dict[str, Any]) -> None:
    for name in decoding:
        if name != "min_confidence":
            raise UsageError(
                f"--caption is a sentence of your own, and {flag_of(name)} is for finding one; leave one out"
            )


def _tell_unknown(caption: Caption, told: set[str]) -> None:
    """Say which words the model does not know, each once."""
    unknown = dict.fromkeys(word.text for word in caption.words if not word.known and word.text not in told)
    if unknown:
        told.update(unknown)
        words = f"{'word' if len(unknown) == 1 else 'words'} {', '.join(map(repr, unknown))}"
        tell(f"the model does not know the {words}: drawn without a probability, by attention alone")
