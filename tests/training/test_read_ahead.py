from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from capcli.errors import UnreadableImage
from capcli.training.read_ahead import read_ahead

GROUPS = [[3, 1, 4], [], [1, 5], [9], [2, 6], [5]]


class Reader:
    """Arrays that tell their job and the process that read them."""

    def __call__(self, job: int) -> np.ndarray:
        if job < 0:
            raise UnreadableImage(Path("holiday") / f"{job}.jpg", "is damaged")
        return np.array([job, os.getpid()])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_arrays_come_in_the_order_of_the_groups(device: str) -> None:
    read = list(read_ahead(Reader(), GROUPS, torch.device(device)))
    assert [batch[:, 0].tolist() if len(batch) else [] for batch in read] == GROUPS


def test_processes_of_their_own_read_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    processes = {device: set[int]() for device in ("cpu", "cuda")}
    for device, pids in processes.items():
        for batch in read_ahead(Reader(), [[0, 1]] * 8, torch.device(device)):
            pids.update(batch[:, 1].tolist())
    assert processes["cpu"] == {os.getpid()}
    assert len(processes["cuda"]) == 2
    assert os.getpid() not in processes["cuda"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_picture_that_cannot_be_read_is_told_in_one_line_where_its_turn_comes(device: str) -> None:
    read = read_ahead(Reader(), [[1], [2, -3], [4]], torch.device(device))
    assert next(read)[:, 0].tolist() == [1]
    with pytest.raises(UnreadableImage, match=r"^holiday/-3\.jpg: is damaged$"):
        next(read)


def test_what_is_wrong_with_a_picture_goes_from_process_to_process_as_it_is() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImage(Path("a.jpg"), "is empty (0 bytes)")))
    assert (error.path, error.reason, str(error)) == (Path("a.jpg"), "is empty (0 bytes)", "a.jpg: is empty (0 bytes)")
