"""Pictures that arrive: handed over once, and not before they are whole."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from capcli.errors import UsageError
from capcli.pictures import watch as module
from capcli.pictures.options import InputOptions
from capcli.pictures.watch import watch


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.05)
    monkeypatch.setattr(module, "SETTLED", 0.1)
    monkeypatch.setattr(module, "IDLE", 0.0)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def arrivals(watching: Iterator[Path | None], count: int, looks: int = 400) -> list[Path]:
    """The next `count` pictures; fewer if there are none for many looks."""
    found: list[Path] = []
    for _ in range(looks):
        picture = next(watching)
        if picture is not None:
            found.append(picture)
        if len(found) == count:
            break
    return found


def test_a_picture_that_arrives_is_handed_over_once(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "old.jpg").write_bytes(b"old")
    watching = watch(tmp_path, InputOptions(), stop, {tmp_path / "old.jpg"})
    assert next(watching) is None
    (tmp_path / "new.jpg").write_bytes(b"new")
    (tmp_path / "notes.txt").write_bytes(b"no picture")
    assert arrivals(watching, 1) == [tmp_path / "new.jpg"]
    (tmp_path / "new.jpg").write_bytes(b"changed")
    assert arrivals(watching, 1, looks=10) == []


def test_a_picture_that_is_moved_there_counts(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "in").mkdir()
    watching = watch(tmp_path / "in", InputOptions(), stop, set())
    (tmp_path / "a.jpg.part").write_bytes(b"a")
    (tmp_path / "a.jpg.part").rename(tmp_path / "in" / "a.jpg")
    assert arrivals(watching, 1) == [tmp_path / "in" / "a.jpg"]


def test_sub_folders_and_patterns_are_those_of_the_options(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("deep/a.jpg", "b.jpg", "thumb.jpg"):
        (tmp_path / name).write_bytes(b"x")
    flat = watch(tmp_path, InputOptions(exclude=("thumb*",)), stop, set())
    assert arrivals(flat, 2, looks=20) == [tmp_path / "b.jpg"]
    deep = watch(tmp_path, InputOptions(recursive=True, exclude=("thumb*",)), stop, set())
    assert arrivals(deep, 2) == [tmp_path / "b.jpg", tmp_path / "deep" / "a.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a file is being written")
def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path, stop: threading.Event) -> None:
    watching = watch(tmp_path, InputOptions(), stop, set())
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(b"the first half")
        file.flush()
        assert arrivals(watching, 1, looks=20) == []
        file.write(b"the second")
    assert arrivals(watching, 1) == [tmp_path / "a.jpg"]


def test_it_ends_when_it_is_told_to(tmp_path: Path, stop: threading.Event) -> None:
    watching = watch(tmp_path, InputOptions(), stop, set())
    next(watching)
    stop.set()
    assert list(watching) == []


def test_a_folder_that_goes_away_is_one_line(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "in").mkdir()
    watching = watch(tmp_path / "in", InputOptions(), stop, set())
    next(watching)
    next(watching)
    (tmp_path / "in").rmdir()
    with pytest.raises(UsageError, match="is gone"):
        arrivals(watching, 1)
