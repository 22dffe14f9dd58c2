from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from capcli.errors import UnreadableImage
from capcli.pictures.stream import stream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(11):
        Image.new("RGB", (4 + i, 4), (i, i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_text("no picture")
    return tmp_path


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("capcli-read")]


@pytest.mark.parametrize("batch_size", [1, 4, 11, 50])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_file_once_in_order_whatever_the_batches(folder: Path, batch_size: int, workers: int) -> None:
    paths = [folder / f"{i}.png" for i in range(11)] + [folder / "absent.png"]
    batches = list(stream(paths, 8, batch_size, workers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    readings = [reading for batch in batches for reading in batch]
    assert [reading.path for reading in readings] == paths
    for i, reading in enumerate(readings):
        if i in (3, 11):
            assert reading.array is None
            assert isinstance(reading.error, UnreadableImage)
        else:
            assert reading.error is None
            assert reading.array is not None
            assert reading.array.shape == (8, 8, 3)
            assert np.all(reading.array == i)


def test_nothing_in_nothing_out() -> None:
    assert list(stream([], 8, 4)) == []


def test_paths_are_taken_only_a_few_batches_ahead_and_closing_stops_the_threads(folder: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield folder / "1.png"

    batches = stream(endless(), 8, 2)
    for handed_over in range(1, 4):
        next(batches)
        assert taken <= (handed_over + 3) * 2
    assert reading_threads()
    batches.close()
    assert not reading_threads()
