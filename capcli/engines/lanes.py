"""How a batch is shared among the processor's cores: all of them at one part after another, or a part for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from typing import TypeVar

from capcli.pictures.stream import usable_cores

Part = TypeVar("Part")
Made = TypeVar("Made")

_EACH = 2
"""Pictures that a lane must have at least. For fewer, all cores at one picture are quicker."""


class Lanes:
    """Threads, each of which computes its parts of a batch alone.

    The threads of one computation wait for each other after each of its hundreds of steps; lanes wait once, at the end
    of a batch. They take two thirds to nine tenths of the time, the more so where other programs are busy, too.

    Args:
        cores: how many compute.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores

    def count(self, pictures: int) -> int:
        """How many lanes a batch is worth; 1 where all cores shall compute each part."""
        lanes = min(self._cores, pictures // _EACH)
        # Half of the cores at least, or more of them would rest than lanes gain.
        return lanes if 2 * lanes >= self._cores else 1

    def share(self, work: Callable[[slice], list[Made]], pictures: int) -> list[Made]:
        """What `work` makes of each of so many pictures, given a slice of them; raises what `each` does."""
        lanes = self.count(pictures)
        shares = [slice(pictures * lane // lanes, pictures * (lane + 1) // lanes) for lane in range(lanes)]
        return [result for results in self.each(work, shares, lanes) for result in results]

    def each(self, work: Callable[[Part], Made], parts: Sequence[Part], lanes: int) -> list[Made]:
        """What `work` makes of each part, in so many lanes.

        Raises:
            Exception: what `work` raises, once no part is computed any more.
        """
        if lanes == 1:
            return [work(part) for part in parts]
        begun = [self._pool.submit(work, part) for part in parts]
        wait(begun)
        return [future.result() for future in begun]

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._cores, "lane")


def computing_cores() -> int:
    """How many cores may compute: `OMP_NUM_THREADS`, as torch would have it, or those that this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return int(setting) if setting.isdecimal() and int(setting) else usable_cores()


def all_cores() -> int:
    """A thread for each of these cores, as a number; 0 where ONNX Runtime knows best: which share a core."""
    cores = computing_cores()
    return 0 if cores == os.cpu_count() else cores
