"""Which pictures a run reads, in which batches, where an earlier one began it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from capcli.output.survey import Survey
from capcli.pictures.find import by_folder


class Plan:
    """What a run reads: an iteration gives files as `ask_in_batches` takes them.

    A resumed run goes on with the very batches of an undisturbed one, because the last digits of a confidence depend on
    how many pictures are computed together. Therefore the batch in which the earlier run ended is computed once more as
    a whole, and what that run left out on its way, such as failures that have no rows, is tried apart from it.

    Args:
        pictures: all pictures of the run.
        survey: of them; None where nothing is settled.
        is_settled: whether an earlier run settled a picture.
        batch_size: pictures captioned at once.
        together: how many pictures are computed with one in a run over all, where these are only a part.
        notes: gives remarks, a line each, once all pictures were looked for.

    Attributes:
        mates: those files that are there only to fill a batch, as far as the iteration has come.
    """

    def __init__(
        self,
        pictures: Iterable[Path],
        survey: Survey | None,
        is_settled: Callable[[Path], bool],
        batch_size: int,
        *,
        together: Callable[[Path], int] | None = None,
        notes: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._pictures, self._survey, self._is_settled = pictures, survey or Survey(), is_settled
        self._batch_size, self._together, self._notes = batch_size, together, notes
        self.mates: set[Path] = set()
        self._remarks: list[str] = []

    def __iter__(self) -> Iterator[Path | None]:
        if self._together is not None:
            left = (picture for picture in self._pictures if not self._is_settled(picture))
            yield from plan_share(left, self._together)
        elif self._survey.settled:
            yield from self._go_on(self._survey)
        else:
            yield from self._pictures
        self._remarks += self._notes()

    def remarks(self) -> list[str]:
        """What the iteration brought that is to be told, each once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def _go_on(self, survey: Survey) -> Iterator[Path | None]:
        whole = survey.reached == survey.total
        start = survey.total if whole else survey.reached - survey.reached % self._batch_size
        gapless, begin = survey.settled == survey.reached, 0
        for folder, names in by_folder(self._pictures):
            known = min(max(start - begin, 0), len(names)) if gapless else 0
            for place, name in enumerate(names[known:], begin + known):
                if place == start:
                    yield None
                picture = folder / name
                settled = self._is_settled(picture)
                if settled and place >= start:
                    self.mates.add(picture)
                if not settled or place >= start:
                    yield picture
            begin += len(names)


def plan_share(todo: Iterable[Path], together: Callable[[Path], int]) -> Iterator[Path | None]:
    """Plans what a run over a part of all pictures reads: those that are computed with as many others stand together.

    Args:
        todo: the pictures that are left.
        together: how many pictures are computed with one in a run over all of them.

    Returns:
        files as `ask_in_batches` takes them.
    """
    for _, pictures in groupby(todo, together):
        yield from pictures
        yield None
