"""Pictures read ahead and given to a model in batches, each exactly once and in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from capcli.output import Result

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.caption import Caption
    from capcli.pictures.stream import Reading, ReadingPool

Answer = TypeVar("Answer")


def ask_in_batches(
    ask: Callable[[UInt8Array], Iterable[Answer]],
    pictures: Iterable[Path | None],
    pool: ReadingPool,
    *,
    size: int,
    batch_size: int,
    proportions: bool = False,
    described: bool = False,
    together: Callable[[Path], int] | None = None,
    is_asked: Callable[[Reading], bool] = lambda reading: True,
) -> Generator[list[tuple[Reading, Answer | None]], None, None]:
    """Reads pictures and asks a model about them, each exactly once and in order.

    The last digits of an answer depend on how many pictures are computed together, not on which. So a picture that
    cannot be read keeps its place in its batch, and the answers of the others do not depend on it.

    Args:
        ask: gives an answer for each of uint8 B x size x size x 3 pictures; where proportions are kept it gets those
            of one shape together.
        pictures: files, read a few batches ahead; a None among them hands over what there is so far.
        pool: reads the files.
        size: side of the model's square input in pixels.
        batch_size: pictures that the model gets at once.
        proportions: whether pictures keep theirs, see `to_array`.
        described: whether readings have their `facts`.
        together: how many pictures are computed with one, itself among them, if not only those that stand in a batch
            with it; the same for all pictures between two Nones.
        is_asked: whether the model is asked about a picture that could be read.

    Yields:
        one batch: readings, those that the model was asked about with their answers.

    Raises:
        CapcliError: as `ask` does.
    """
    import numpy as np

    from capcli.arrays import group_by_shape

    for readings in pool.stream(pictures, size, batch_size, proportions=proportions, described=described):
        asked = [reading.array is not None and is_asked(reading) for reading in readings]
        arrays = [
            reading.array
            for reading, wanted in zip(readings, asked, strict=True)
            if wanted and reading.array is not None
        ]
        places = len(arrays) + sum(reading.array is None for reading in readings)
        if together is not None:
            places = max(places, together(readings[0].path))
        filled = arrays + arrays[-1:] * (places - len(arrays))
        answered: dict[int, Answer] = {}
        for alike in group_by_shape(filled):
            answered.update(zip(alike, ask(np.stack([filled[place] for place in alike])), strict=True))
        answers = iter([answered[place] for place in range(len(arrays))])
        yield [(reading, next(answers) if wanted else None) for reading, wanted in zip(readings, asked, strict=True)]


def make_result(reading: Reading, best: Caption | None, model: str, *, with_words: bool = False) -> Result:
    """What became of a picture.

    Args:
        reading: of the picture.
        best: its best caption; None if it could not be read.
        model: the name of the model that wrote the caption.
        with_words: put the words' log-probabilities, and their sentinels if any, into the result.
    """
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
        best.keywords,
        facts=reading.facts,
    )


def report_unreadable(reading: Reading) -> Result:
    """What became of a picture that could not be read."""
    assert reading.error is not None, "a reading has pixels or an error"
    return Result(reading.path, error=reading.error.reason)
