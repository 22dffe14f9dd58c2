"""A run over many pictures: read ahead, captioned in batches, every one accounted for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.decoding.options import DecodingOptions
from capcli.output import Result

if TYPE_CHECKING:
    import numpy as np

    from capcli.captioner import Caption, Captioner
    from capcli.pictures.stream import Reading, ReadingPool


@dataclass
class Tally:
    """What became of the pictures of a run.

    Attributes:
        captioned: pictures with captions.
        skipped: pictures that an earlier run settled, `failed_before` of them as failures.
        failed: pictures with an error.
        uncertain: captioned ones below the least confidence.
        undrawn: pictures whose captions have no word to draw; they are not among the captioned.
        seconds: the run took, without loading the model.
    """

    captioned: int = 0
    skipped: int = 0
    failed_before: int = 0
    failed: int = 0
    uncertain: int = 0
    undrawn: int = 0
    seconds: float = 0.0

    def count(self, result: Result) -> None:
        if result.error is None:
            self.captioned += 1
            self.uncertain += result.uncertain
        else:
            self.failed += 1

    def __str__(self) -> str:
        before = f" ({self.failed_before:,} failed before, see --retry-failed)" if self.failed_before else ""
        told = f"captioned {self.captioned:,}, skipped {self.skipped:,}{before}, failed {self.failed:,}"
        if self.uncertain:
            told += f", uncertain {self.uncertain:,}"
        if self.undrawn:
            told += f", nothing to draw {self.undrawn:,}"
        if self.seconds:
            told += f", {self.captioned / self.seconds:.1f} images/s"
        return told


def results(
    captioner: Captioner,
    pictures: Iterable[Path | None],
    pool: ReadingPool,
    options: DecodingOptions,
    *,
    batch_size: int,
    with_words: bool = False,
) -> Generator[list[Result], None, None]:
    """Caption pictures, or say why not, each exactly once and in order.

    Args:
        captioner: the model.
        pictures: files, read a few batches ahead; a None among them hands over what there is so far.
        pool: reads the files.
        options: of decoding.
        batch_size: pictures captioned at once.
        with_words: put the words' log-probabilities, and their sentinels if any, into the results.

    Yields:
        the results of one batch.

    Raises:
        UsageError: for options that the model cannot follow.
        CapcliError: if the memory does not hold even one picture.
    """

    def work(arrays: np.ndarray) -> list[Caption]:
        return captioner.caption_arrays(arrays, options)

    for batch in captioned(work, pictures, pool, size=captioner.size, batch_size=batch_size):
        yield [_result(reading, caption, captioner.name, with_words) for reading, caption in batch]


def captioned(
    work: Callable[[np.ndarray], list[Caption]],
    pictures: Iterable[Path | None],
    pool: ReadingPool,
    *,
    size: int,
    batch_size: int,
) -> Generator[list[tuple[Reading, Caption | None]], None, None]:
    """Pictures with what a model says of them, each exactly once and in order.

    Args:
        work: captions uint8 B x size x size x 3 pictures.
        pictures: files, read a few batches ahead; a None among them hands over what there is so far.
        pool: reads the files.
        size: side of the model's square input in pixels.
        batch_size: pictures captioned at once.

    Yields:
        one batch: readings, those without an error with their captions.

    Raises:
        CapcliError: as `work` does.
    """
    import numpy as np

    for readings in pool.stream(pictures, size, batch_size):
        arrays = [reading.array for reading in readings if reading.array is not None]
        captions = iter(work(np.stack(arrays)) if arrays else ())
        yield [(reading, None if reading.array is None else next(captions)) for reading in readings]


def resumed(todo: Sequence[Path], pictures: Sequence[Path], batch_size: int) -> tuple[list[Path | None], set[Path]]:
    """What is to be read so that a resumed run goes on with the very batches of an undisturbed one.

    The last digits of a confidence depend on what is computed together with a picture. Therefore the batch in which
    the earlier run ended is computed once more as a whole, and what that run left out on its way, such as failures
    that have no rows, is tried apart from it.

    Args:
        todo: the pictures that are left, in the order of `pictures`.
        pictures: all pictures of the run.
        batch_size: pictures captioned at once.

    Returns:
        files as `results` takes them, and those of them that are there only to fill a batch.
    """
    left = set(todo)
    reached = next((place for place in range(len(pictures), 0, -1) if pictures[place - 1] not in left), 0)
    if reached == len(pictures):
        return list(todo), set()
    start = reached - reached % batch_size
    apart = [picture for picture in pictures[:start] if picture in left]
    return [*apart, None, *pictures[start:]], set(pictures[start:]) - left


def refused(reading: Reading) -> Result:
    """What became of a picture that could not be read."""
    assert reading.error is not None, "a reading has pixels or an error"
    return Result(reading.path, error=reading.error.reason)


def _result(reading: Reading, best: Caption | None, model: str, with_words: bool) -> Result:
    if best is None:
        return refused(reading)
    said = (best, *best.alternatives)
    words = tuple((word.text, word.log_probability, word.sentinel) for word in best.words) if with_words else None
    return Result(
        reading.path,
        tuple(caption.text for caption in said),
        tuple(caption.confidence for caption in said),
        model,
        best.uncertain,
        words,
    )
