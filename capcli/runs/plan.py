"""Which pictures a run reads, in which batches, where an earlier one began it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path


def plan_run(todo: Sequence[Path], pictures: Sequence[Path], batch_size: int) -> tuple[list[Path | None], set[Path]]:
    """Plans what a resumed run reads, so that it goes on with the very batches of an undisturbed one.

    The last digits of a confidence depend on what is computed together with a picture. Therefore the batch in which
    the earlier run ended is computed once more as a whole, and what that run left out on its way, such as failures
    that have no rows, is tried apart from it.

    Args:
        todo: the pictures that are left, in the order of `pictures`.
        pictures: all pictures of the run.
        batch_size: pictures captioned at once.

    Returns:
        files as `ask_in_batches` takes them, and those of them that are there only to fill a batch.
    """
    left = set(todo)
    reached = next((place for place in range(len(pictures), 0, -1) if pictures[place - 1] not in left), 0)
    if reached == len(pictures):
        return list(todo), set()
    start = reached - reached % batch_size
    apart = [picture for picture in pictures[:start] if picture in left]
    return [*apart, None, *pictures[start:]], set(pictures[start:]) - left


def plan_share(todo: Sequence[Path], together: Callable[[Path], int]) -> list[Path | None]:
    """Plans what a run over a part of all pictures reads: those that are computed with as many others stand together.

    Args:
        todo: the pictures that are left.
        together: how many pictures are computed with one in a run over all of them.

    Returns:
        files as `ask_in_batches` takes them.
    """
    planned: list[Path | None] = []
    for _, pictures in groupby(todo, together):
        planned += [*pictures, None]
    return planned[:-1]
