"""Reading of the pictures that the next steps need while the model computes this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import AvifImagePlugin
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from capcli.arrays import UInt8Array
from capcli.errors import CapcliError

AHEAD = 2
THREADS = 2

Job = TypeVar("Job")


def read_ahead(
    read: Callable[[Job], UInt8Array], groups: Sequence[Sequence[Job]], device: torch.device
) -> Iterator[Tensor]:
    """Arrays of the groups in their order, N x ... on the CPU, empty for an empty group.

    Beside a CPU that computes two threads read; for a GPU, which waits for no single Python, as many processes as there
    are cores but one.

    Args:
        read: gives the array of a job, all of one shape; it may be copied into other processes.
        groups: jobs of each batch.
        device: where the model computes.

    Raises:
        CapcliError: the first that `read` raises, where its group's turn comes.
    """
    if device.type == "cpu":
        return _by_threads(read, groups)
    return _by_processes(read, groups)


def _by_threads(read: Callable[[Job], UInt8Array], groups: Sequence[Sequence[Job]]) -> Iterator[Tensor]:
    with ThreadPoolExecutor(THREADS) as pool:

        def begin(group: Sequence[Job]) -> list[Future[UInt8Array]]:
            return [pool.submit(read, job) for job in group]

        upcoming = [begin(group) for group in groups[:AHEAD]]
        for index in range(len(groups)):
            if index + AHEAD < len(groups):
                upcoming.append(begin(groups[index + AHEAD]))
            yield _stack([future.result() for future in upcoming.pop(0)])


def _by_processes(read: Callable[[Job], UInt8Array], groups: Sequence[Sequence[Job]]) -> Iterator[Tensor]:
    loader = DataLoader(
        _Jobs(read),
        batch_sampler=[list(group) for group in groups],
        num_workers=max(1, (os.cpu_count() or 2) - 1),
        prefetch_factor=AHEAD,
        collate_fn=_collate,
        worker_init_fn=_prepare,
    )
    for read_or_error in loader:
        if isinstance(read_or_error, CapcliError):
            raise read_or_error
        yield read_or_error


class _Jobs(Dataset[UInt8Array | CapcliError], Generic[Job]):
    def __init__(self, read: Callable[[Job], UInt8Array]) -> None:
        self._read = read

    def __getitem__(self, job: Job) -> UInt8Array | CapcliError:
        try:
            return self._read(job)
        except CapcliError as error:
            # Raised there, it would come with the other process's traceback for a message.
            return error


def _collate(read: Sequence[UInt8Array | CapcliError]) -> Tensor | CapcliError:
    arrays = []
    for result in read:
        if isinstance(result, CapcliError):
            return result
        arrays.append(result)
    return _stack(arrays)


def _stack(arrays: Sequence[UInt8Array]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)) if arrays else torch.empty(0)


def _prepare(worker: int) -> None:
    # Each process is one of many, so threads of its own would only be in the others' way.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
