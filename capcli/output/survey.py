"""What earlier runs left of the pictures of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from capcli.output import State
from capcli.pictures.find import by_folder


@dataclass(frozen=True)
class Survey:
    """What a look at all pictures of a run found.

    Attributes:
        total: how many there are.
        settled: how many of them earlier runs settled.
        failed: how many of those ended with a failure.
        reached: how many come before the first one behind which none is settled.
    """

    total: int = 0
    settled: int = 0
    failed: int = 0
    reached: int = 0

    @property
    def left(self) -> int:
        """How many pictures are still to do."""
        return self.total - self.settled


def look_through(
    pictures: Iterable[Path],
    is_settled: Callable[[Path], bool],
    has_failed: Callable[[Path], bool] = lambda picture: False,
) -> Survey:
    """Looks at every picture once, and remembers none.

    Args:
        pictures: of a run, in order.
        is_settled: whether an earlier run settled a picture.
        has_failed: whether it ended with a failure for one that is settled.
    """
    total = settled = failed = reached = 0
    for picture in pictures:
        total += 1
        if is_settled(picture):
            settled, reached = settled + 1, total
            failed += has_failed(picture)
    return Survey(total, settled, failed, reached)


def look_by_folder(
    pictures: Iterable[Path], settled: Callable[[Path, Sequence[str]], Sequence[State | None]]
) -> Survey:
    """Looks at every picture once, those of a folder together, and makes no paths of them.

    Args:
        pictures: of a run, in order.
        settled: says of a folder's pictures, by their names, what those hold that an earlier run settled.
    """
    total = found = failed = reached = 0
    for folder, names in by_folder(pictures):
        states = settled(folder, names)
        if count := len(states) - states.count(None):
            found += count
            failed += states.count(State.FAILED)
            reached = total + max(place for place, state in enumerate(states, 1) if state is not None)
        total += len(names)
    return Survey(total, found, failed, reached)
