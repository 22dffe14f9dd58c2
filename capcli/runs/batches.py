"""Pictures read ahead and captioned in batches, each exactly once and in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.decoding.options import DecodingOptions
from capcli.output import Result

if TYPE_CHECKING:
    import numpy as np

    from capcli.caption import Caption
    from capcli.captioner import Captioner
    from capcli.pictures.stream import Reading, ReadingPool


def caption_pictures(
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

    for batch in caption_batches(work, pictures, pool, size=captioner.size, batch_size=batch_size):
        yield [_result(reading, caption, captioner.name, with_words) for reading, caption in batch]


def caption_batches(
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


def report_unreadable(reading: Reading) -> Result:
    """What became of a picture that could not be read."""
    assert reading.error is not None, "a reading has pixels or an error"
    return Result(reading.path, error=reading.error.reason)


def _result(reading: Reading, best: Caption | None, model: str, with_words: bool) -> Result:
    if best is None:
        return report_unreadable(reading)
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
