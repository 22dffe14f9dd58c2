from __future__ import annotations

import os
import threading
import time

import pytest

from capcli.engines.lanes import Lanes, all_cores, computing_cores


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, {0: 1, 1: 1, 2: 1, 16: 1}),
        (2, {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 16: 2, 1000: 2}),
        (8, {1: 1, 7: 1, 8: 4, 9: 4, 15: 7, 16: 8, 64: 8}),
        (64, {16: 1, 63: 1, 64: 32, 128: 64}),
    ],
)
def test_a_lane_for_each_core_if_there_are_pictures_for_half_of_them(cores: int, expected: dict[int, int]) -> None:
    assert {pictures: Lanes(cores).count(pictures) for pictures in expected} == expected


@pytest.mark.parametrize("lanes", [1, 3])
def test_parts_keep_their_order(lanes: int) -> None:
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    parts = [0.03, 0.0, 0.02, 0.0, 0.01]
    assert Lanes(3).each(wait, parts, lanes) == parts


@pytest.mark.parametrize("pictures", [0, 1, 5, 7])
def test_pictures_are_shared_evenly(pictures: int) -> None:
    shares: list[int] = []

    def work(part: slice) -> list[int]:
        numbers = list(range(pictures))[part]
        shares.append(len(numbers))
        return numbers

    assert Lanes(3).share(work, pictures) == list(range(pictures))
    assert max(shares) - min(shares) <= 1


def test_several_parts_are_computed_at_once() -> None:
    together = threading.Barrier(2, timeout=60)
    assert sorted(Lanes(2).each(lambda _: together.wait(), [None, None], 2)) == [0, 1]


def test_what_a_part_raises_comes_when_none_is_computed_any_more() -> None:
    done = []

    def work(part: int) -> None:
        if part == 0:
            raise MemoryError
        time.sleep(0.05)
        done.append(part)

    with pytest.raises(MemoryError):
        Lanes(2).each(work, [0, 1, 2], 2)
    assert sorted(done) == [1, 2]


def test_cores_that_may_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert (computing_cores(), all_cores()) == (8, 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})
    assert (computing_cores(), all_cores()) == (2, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (computing_cores(), all_cores()) == (3, 3)
    for nonsense in ("0", "many", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert computing_cores() == 2
