from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from capcli.speed import in_memory as speed
from capcli.speed.in_memory import Speed, measure
from capcli.speed.made_pictures import made_pictures


class Clock:
    """Time passes only where a model captions."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Model:
    device, precision = "cpu", ("float32", "float32")

    def __init__(self, clock: Clock, seconds: float, order: list[Any]) -> None:
        self.clock, self.seconds, self.order = clock, seconds, order

    def caption_arrays(self, arrays: np.ndarray) -> None:
        self.order.append((self.seconds, len(arrays)))
        self.clock.now += self.seconds * len(arrays)


def test_models_take_turns_and_warming_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = Clock(), []
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    models: Any = [Model(clock, 0.5, order), Model(clock, 0.25, order)]
    done: list[tuple[int, int]] = []
    arrays = np.zeros((3, 8, 8, 3), np.uint8)
    found = measure(models, [arrays, arrays], 2, rounds=2, progress=lambda *now: done.append(now))
    slow, fast = [(0.5, 2), (0.5, 1)], [(0.25, 2), (0.25, 1)]
    assert order == [(0.5, 2), (0.25, 2), *slow, *fast, *slow, *fast]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (found.rate(0), found.rate(1), found.pictures) == (2, 4, 3)
    assert found.ratio(1) == (2, 2, 2)
    assert found.to_json(1)["images_per_second"] == 4


@pytest.mark.parametrize(
    ("rates", "word"),
    [
        ([(10, 11), (5, 6)], "faster: 1.15 times as fast (1.10 to 1.20 in 2 rounds)"),
        ([(10, 9), (5, 4)], "slower: 0.85 times as fast (0.80 to 0.90 in 2 rounds)"),
        ([(10, 9), (5, 6), (10, 15)], "neither faster nor slower: 1.20 times as fast (0.90 to 1.50 in 3 rounds)"),
    ],
)
def test_faster_is_what_all_rounds_agree_on(rates: Any, word: str) -> None:
    assert Speed(tuple(rates), 4, "cpu", (("float32", "float32"),) * 2).verdict(1) == word


def test_made_pictures_are_always_the_same_and_differ() -> None:
    first, second = made_pictures(3), made_pictures(3)
    assert [picture.size for picture in first] == [(640, 480)] * 3
    assert [picture.tobytes() for picture in first] == [picture.tobytes() for picture in second]
    assert len({picture.tobytes() for picture in first}) == 3
