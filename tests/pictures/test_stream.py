from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from capcli.errors import CapcliError, TooManyPixels, UnreadableImage
from capcli.pictures.read import read_array, read_described
from capcli.pictures.stream import Reading, ReadingPool

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

# A worker that some names do harm to.
HARMED = """if True:
    import os, signal, sys, threading, time
    from pathlib import Path
    from capcli.pictures import read, worker

    def harmed(path, size, **options):
        name = Path(path).name
        if name.startswith("exit"):
            os._exit(7)
        if name.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("once") and not Path(path + ".tried").exists():
            Path(path + ".tried").touch()
            os._exit(7)
        if name.startswith("hang"):
            Path(path + ".hangs").touch()
            threading.Event().wait()
        return read.read_array(path, size, **options)

    def alone(image):
        busy = Path(sys.argv[1], "busy")
        busy.mkdir()
        rgb = upright_rgb(image)
        time.sleep(0.02)  # so that two at once would meet
        busy.rmdir()
        return rgb

    upright_rgb = read.upright_rgb
    worker.read_array = harmed
    if len(sys.argv) > 1:
        read.LARGE_PIXELS, read.upright_rgb = 5, alone
    worker.main()
"""
HARM = (sys.executable, "-c", HARMED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(11):
        Image.new("RGB", (4 + i, 4), (i, i, i)).save(folder / f"{i}.png")
    (folder / "3.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def pool() -> Iterator[ReadingPool]:
    with ReadingPool(2) as pool:
        yield pool


def same(reading: Reading, path: Path) -> bool:
    """Whether `reading` is what `path` gives when it is read in this process."""
    try:
        array = read_array(path, 8)
    except UnreadableImage as error:
        return reading.path == path and reading.array is None and str(reading.error) == str(error)
    return reading.path == path and reading.error is None and np.array_equal(reading.array, array)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what a parent has yet to fetch of it."""
    try:
        os.kill(pid, 0)
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:  # a system without /proc
        return False
    except ProcessLookupError:
        return True


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=30), st.integers(1, 12))
def test_each_file_once_in_order_in_full_batches_up_to_each_none(
    folder: Path, pool: ReadingPool, order: list[int | None], batch_size: int
) -> None:
    paths = [None if i is None else folder / f"{i}.png" for i in order]
    batches = list(pool.stream(paths, 8, batch_size))
    sections = [list(section) for is_none, section in groupby(paths, lambda path: path is None) if not is_none]
    expected = [section[i : i + batch_size] for section in sections for i in range(0, len(section), batch_size)]
    assert [[reading.path for reading in batch] for batch in batches] == expected
    assert all(same(reading, reading.path) for batch in batches for reading in batch)


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers(folder: Path, workers: int) -> None:
    paths = [folder / f"{i}.png" for i in range(11)]
    with ReadingPool(workers) as pool:
        assert len(pool.pids) == workers
        readings = [reading for batch in pool.stream(paths, 8, 4) for reading in batch]
    assert all(map(same, readings, paths))


def test_by_default_a_worker_for_each_core_and_at_most_four() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ReadingPool() as pool:
        assert len(pool.pids) == min(4, cores or 1)


def test_sizes(folder: Path, pool: ReadingPool) -> None:
    for size in (1, 8, 50):
        [[reading]] = pool.stream([folder / "10.png"], size, 4)
        assert reading.array is not None
        assert (reading.array.shape, reading.array.dtype) == ((size, size, 3), np.uint8)
        assert np.all(reading.array == 10)
        reading.array[:] = 0  # it belongs to the caller


@pytest.mark.parametrize("name", ["new\nline.png", "☃.png", "with space.png", os.fsdecode(b"caf\xe9.png")])
def test_names(tmp_path: Path, pool: ReadingPool, name: str) -> None:
    path = tmp_path / name
    try:
        Image.new("RGB", (3, 3)).save(path)
    except OSError:
        pytest.skip("this file system has no such names")
    [[reading]] = pool.stream([path], 8, 1)
    assert same(reading, path)


@pytest.mark.parametrize("proportions", [False, True])
def test_a_picture_in_memory_is_read_as_its_file_is(tmp_path: Path, pool: ReadingPool, proportions: bool) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.jpg"
    Image.linear_gradient("L").resize((90, 40)).save(path, exif=exif)
    expected = read_array(path, 16, proportions=proportions)
    reading = pool.read(path.read_bytes(), 16, proportions=proportions, described=True).result()
    assert reading.array is not None and reading.facts is not None
    np.testing.assert_array_equal(reading.array, expected)
    facts = read_described(path, 16, proportions=proportions)[1]
    assert reading.facts == replace(facts, mtime=0)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "is empty (0 bytes)"), (b"no picture", "is not a picture capcli can read")]
)
def test_what_is_no_picture_in_memory_has_its_reason(pool: ReadingPool, content: bytes, reason: str) -> None:
    error = pool.read(content, 4).result().error
    assert type(error) is UnreadableImage
    assert error.reason == reason


def test_a_picture_of_more_pixels_than_are_taken_is_not_decoded(tmp_path: Path, pool: ReadingPool) -> None:
    for name in ("a.png", "a.jpg", "a.tif", "a.gif"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        # A JPEG is decoded smaller than it is, and counts as a whole all the same.
        error = pool.read(content, 2, most_pixels=599).result().error
        assert isinstance(error, TooManyPixels)
        assert error.reason == "has 30 x 20 pixels, and at most 599 are taken; scale it down"
        assert pool.read(content, 2, most_pixels=600).result().array is not None


def test_a_name_that_no_file_can_have(pool: ReadingPool) -> None:
    path = Path("\ud800.png")
    [[reading]] = pool.stream([path], 8, 1)
    assert reading.error
    assert (reading.error.path, reading.error.reason) == (path, "does not exist")


def test_relative_paths_are_of_the_current_folder(
    folder: Path, pool: ReadingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    [[reading]] = pool.stream([Path("1.png")], 8, 1)
    assert same(reading, Path("1.png"))


def test_paths_are_taken_only_two_batches_ahead(folder: Path, pool: ReadingPool) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield folder / "1.png"

    batches = pool.stream(endless(), 8, 2)
    assert taken == 0
    for handed_over in range(1, 4):
        next(batches)
        assert taken <= (handed_over + 2) * 2
    batches.close()
    [[reading]] = pool.stream([folder / "2.png"], 8, 1)
    assert same(reading, folder / "2.png")


def test_at_none_everything_is_handed_over_before_more_is_asked_for(folder: Path, pool: ReadingPool) -> None:
    received: list[int] = []

    def arriving() -> Iterator[Path | None]:
        for count in (1, 2, 0, 7):
            yield from [folder / "1.png"] * count
            yield None
            assert sum(received) == sum((1, 2, 0, 7)[: (1, 2, 0, 7).index(count) + 1])

    for batch in pool.stream(arriving(), 8, 2):
        received.append(len(batch))
    assert received == [1, 2, 2, 2, 2, 1]


def test_an_error_of_the_paths_is_passed_on(folder: Path, pool: ReadingPool) -> None:
    def failing() -> Iterator[Path]:
        yield folder / "1.png"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(pool.stream(failing(), 8, 2))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("exit.png", "ended the process that read it, twice (exit code 7)"),
        pytest.param("kill.png", "ended the process that read it, twice (signal 9)", marks=posix),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_ends_its_process_twice_is_reported_and_all_others_are_read(
    folder: Path, name: str, reason: str, workers: int
) -> None:
    paths = [folder / "1.png", Path(name), folder / "2.png", folder / "3.png", Path(name), folder / "4.png"]
    with ReadingPool(workers, command=HARM) as pool:
        readings = [reading for batch in pool.stream(paths, 8, 4) for reading in batch]
    for reading, path in zip(readings, paths, strict=True):
        if path.name == name:
            assert str(reading.error) == f"{name}: {reason}"
        else:
            assert same(reading, path)


def test_a_file_that_ends_its_process_once_is_read_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "once.png"
    Image.new("RGB", (3, 3)).save(path)
    with ReadingPool(1, command=HARM) as pool:
        [[reading]] = pool.stream([path], 8, 1)
    assert (tmp_path / "once.png.tried").exists()
    assert same(reading, path)


@posix
def test_workers_killed_again_and_again_are_replaced_and_nothing_is_lost(folder: Path) -> None:
    paths = [folder / f"{i % 11}.png" for i in range(30)]
    with ReadingPool(2) as pool:
        readings: list[Reading] = []
        for batch in pool.stream(paths, 8, 3):
            for pid in pool.pids:
                with suppress(ProcessLookupError):  # of the last kill it may just be dead
                    os.kill(pid, signal.SIGKILL)
            readings += batch
        for reading, path in zip(readings, paths, strict=True):
            # Of a picture that was read in this very moment it may be true.
            assert same(reading, path) or "twice (signal 9)" in str(reading.error)
        [[last]] = pool.stream([folder / "5.png"], 8, 1)
    assert same(last, folder / "5.png")


def test_a_file_that_takes_too_long_is_reported_and_all_others_are_read(folder: Path, tmp_path: Path) -> None:
    paths = [folder / "1.png", tmp_path / "hang.png", *(folder / f"{i}.png" for i in range(2, 9))]
    with ReadingPool(1, patience=1, command=HARM) as pool:
        readings = [reading for batch in pool.stream(paths, 8, 3) for reading in batch]
    assert str(readings[1].error) == f"{paths[1]}: takes longer than 1 s to read"
    assert all(same(reading, path) for reading, path in zip(readings, paths, strict=True) if path != paths[1])


@posix
def test_a_stopped_process_is_replaced_when_patience_is_over(folder: Path) -> None:
    with ReadingPool(1, patience=1) as pool:
        list(pool.stream([folder / "1.png"], 8, 1))
        [pid] = pool.pids
        os.kill(pid, signal.SIGSTOP)
        readings = [reading for [reading] in pool.stream([folder / "1.png", folder / "2.png"], 8, 1)]
        assert str(readings[0].error).endswith("takes longer than 1 s to read")
        assert same(readings[1], folder / "2.png")
        assert gone(pid)


def test_large_pictures_are_decoded_one_at_a_time_over_all_processes(folder: Path, tmp_path: Path) -> None:
    paths = [folder / f"{i}.png" for i in (1, 2, 4, 5)] * 4
    with ReadingPool(4, command=[*HARM, str(tmp_path)]) as pool:
        errors = [reading.error for batch in pool.stream(paths, 8, 4) for reading in batch]
    assert errors == [None] * len(paths)


@posix
def test_closing_does_not_wait_for_pictures_that_hang(tmp_path: Path) -> None:
    pool = ReadingPool(2, command=HARM)
    paths = [tmp_path / f"hang{i}.png" for i in range(9)]

    def in_the_middle() -> Iterator[Path]:
        yield from paths[:5]
        eventually(lambda: len(list(tmp_path.glob("*.hangs"))) == 2)
        pids.extend(pool.pids)
        pool.close()
        yield from []

    pids: list[int] = []
    with pytest.raises(CancelledError):
        list(pool.stream(in_the_middle(), 8, 4))
    assert len(pids) == 2
    assert all(map(gone, pids))


@posix
def test_an_error_of_the_caller_ends_the_processes(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ReadingPool(2) as pool:
        for _ in pool.stream([folder / "1.png"] * 20, 8, 2):
            pids = pool.pids
            raise KeyboardInterrupt
    assert pids
    assert all(map(gone, pids))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="/proc tells")
def test_nothing_is_left_after_closing(folder: Path) -> None:
    def held() -> tuple[int, str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return len(list(Path("/proc/self/fd").iterdir())), children

    before = held()
    with ReadingPool(3, command=HARM) as pool:
        list(pool.stream([folder / "1.png", Path("exit.png")] * 3, 8, 2))
    pool.close()
    assert held() == before


def test_a_program_that_is_no_worker_ends_the_stream_with_one_line(folder: Path) -> None:
    with (
        ReadingPool(2, command=[sys.executable, "-c", ""]) as pool,
        pytest.raises(CapcliError, match="do not start") as caught,
    ):
        list(pool.stream([folder / "1.png"] * 5, 8, 2))
    assert "\n" not in str(caught.value)


@posix
def test_workers_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from capcli.pictures.stream import ReadingPool
        pool = ReadingPool(2, command=sys.argv[2:])
        print(*pool.pids, flush=True)
        list(pool.stream([Path(sys.argv[1], name) for name in ("absent.png", "hang.png")], 8, 2))
    """
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), *HARM], stdout=subprocess.PIPE)
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert eventually((tmp_path / "hang.png.hangs").exists)
    parent.kill()
    parent.communicate()
    assert len(pids) == 2
    assert eventually(lambda: all(map(gone, pids)))
