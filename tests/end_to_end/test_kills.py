"""Runs that are killed at random moments and resumed leave what an undisturbed run leaves, byte for byte.

`benchmarks/kills.py` kills a run as often as one likes, the real model included.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_bursts import shoot
from preloaded import ForkedRun

from capcli.library.contents import find_faults

Process = subprocess.Popen[bytes] | ForkedRun
Start = Callable[..., "subprocess.Popen[bytes]"]
StartQuickly = Callable[..., ForkedRun]
Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]
MakePictures = Callable[[Path, int], "list[Path]"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")

PICTURES, KILLS = 300, 10
# From the moment that it has imported what it needs; what a run does before that touches no file.
SECONDS_TO_START, BATCH_SECONDS = 0.1, 0.01


def written(place: Path) -> dict[str, Any]:
    """Content of all files in a folder by their names; of a library every row of every table."""
    return {
        str(file.relative_to(place)): tables(file) if file.suffix == ".db" else file.read_bytes()
        for file in place.rglob("*")
        if file.is_file()
    }


def tables(library: Path) -> dict[str, list[Any]]:
    """What a library holds, which must be sound."""
    assert not find_faults(library)
    with sqlite3.connect(library) as connection:
        connection.text_factory = bytes
        names = ("about", "model", "picture", "history", "vector", "block")
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}


def progress(place: Path) -> tuple[int, int]:
    """Numbers that change with every sidecar and with every row."""
    files = [place / name for name in ("rows", "rows.db", "rows.db-wal", "rows.parquet/_open.jsonl")]
    sizes = [size for file in files if (size := size_of(file)) is not None]
    return sum(1 for _ in place.glob("*.json")) + sum(1 for _ in place.glob("rows.parquet/*")), sum(sizes)


def size_of(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # it may go at any moment
        return None


def ended(process: Process, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def kill(process: Process, place: Path, chance: random.Random) -> bool:
    """Kill a run at a moment of its start, or of its work; False if it was at its end already."""
    if chance.random() < 0.4:
        ended(process, chance.uniform(0, SECONDS_TO_START))
    else:
        before = progress(place)
        while progress(place) == before and not ended(process, 0.001):
            pass
        ended(process, chance.uniform(0, 1.5 * BATCH_SECONDS))
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0, 1), errors
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "kills"),
    [
        ("-o out/rows --format jsonl", KILLS),
        ("-o out/rows --format csv", KILLS),
        # What is uncertain depends on what else is in the batch, and failures have no row.
        ("-o out/rows --format tsv --min-confidence 0.5", KILLS),
        ("-o out/rows --format json --errors out/errors --sidecar json --sidecar-dir out", KILLS),
        ("--sidecar json --sidecar-dir out", KILLS),
        ("-o out/rows.db", KILLS),
        ("-o out/rows.parquet --part-rows 23", KILLS),
    ],
    ids=["jsonl", "csv", "tsv", "json and sidecars", "sidecars", "library", "parquet"],
)
def test_a_run_that_is_killed_again_and_again(
    start_quickly: StartQuickly,
    caption: Caption,
    make_pictures: MakePictures,
    tmp_path: Path,
    options: str,
    kills: int,
) -> None:
    for bad in make_pictures(tmp_path / "pictures", PICTURES)[::29]:
        bad.write_bytes(b"no picture")
    asked: list[Any] = ["pictures", "--batch-size", 2, "--resume", *options.split()]
    out = tmp_path / "out"
    out.mkdir()
    assert caption(*asked).returncode == 1
    undisturbed = written(out)

    chance, done, reached = random.Random(options), 0, set()
    shutil.rmtree(out)
    out.mkdir()
    while done < kills:
        if kill(start_quickly(*asked, variables={"BATCH_SECONDS": str(BATCH_SECONDS)}), out, chance):
            done += 1
            reached.add(progress(out))
        else:  # it was faster than the kills, and the rest of them need another run
            assert written(out) == undisturbed
            shutil.rmtree(out)
            out.mkdir()
    assert len(reached) > kills / 4, "the kills fell in too few places"
    assert caption(*asked).returncode in (0, 1)
    assert written(out) == undisturbed


@pytest.mark.slow
def test_a_run_of_bursts_killed_between_a_caption_and_its_copies(
    start_quickly: StartQuickly, caption: Caption, tmp_path: Path
) -> None:
    pytest.importorskip("imagehash")
    scenes, shots = 6, 7
    (tmp_path / "pictures").mkdir()
    for number in range(scenes * shots):
        shot, scene = divmod(number, scenes)
        # All scenes once before any of them again, so that copies come long after their caption.
        shoot(tmp_path / "pictures" / f"{shot}-{scene}.png", scene, 60 * scene + shot, shot)
    asked: list[Any] = ["pictures", "--one-per-burst", "--batch-size", 2, "--resume", "-o"]
    assert caption(*asked, "undisturbed.db").returncode == 0
    library, held = tmp_path / "killed.db", []
    for least in (3, 7, 12, 25):
        process = start_quickly(*asked, "killed.db", variables={"BATCH_SECONDS": "0.05"})
        while count_rows(library) < least and not ended(process, 0.001):
            pass
        process.kill()
        process.communicate()
        held.append(count_rows(library))
    assert any(scenes <= count < scenes * shots for count in held), "no kill fell between a caption and its copies"
    assert caption(*asked, "killed.db").returncode == 0
    assert copies(library) == copies(tmp_path / "undisturbed.db")
    sources = [source for _, _, source in copies(library)]
    assert (len(sources), sources.count(None)) == (scenes * shots, scenes)
    assert not find_faults(library)


def count_rows(library: Path) -> int:
    if not library.is_file():
        return 0
    with closing(sqlite3.connect(library, timeout=10)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM picture").fetchone()[0])
        except sqlite3.OperationalError:  # it has no tables yet
            return 0


def copies(library: Path) -> list[tuple[str, str, str | None]]:
    """Each picture, its caption, and the picture that this was copied from."""
    with closing(sqlite3.connect(library)) as connection:
        return connection.execute(
            "SELECT path, caption, (SELECT path FROM picture AS source WHERE source.id = picture.copied) "
            "FROM picture ORDER BY path"
        ).fetchall()


@pytest.mark.slow
def test_the_shipped_model_killed_twice(
    fork: Callable[..., ForkedRun], capcli: Callable[..., Any], make_pictures: MakePictures, tmp_path: Path
) -> None:
    make_pictures(tmp_path / "pictures", 32)
    # Threads that other programs keep from their cores wait for each other, which can take minutes.
    one_thread = {"OMP_NUM_THREADS": "1"}
    options = ("--batch-size", 4, "--beam-size", 1, "--format", "jsonl", "--resume", "-o")
    asked: list[Any] = ["caption", "pictures", *options]
    assert capcli(*asked, "undisturbed", cwd=tmp_path, **one_thread).returncode == 0

    chance, rows = random.Random(4), tmp_path / "rows"
    for _ in range(2):
        process = fork(*asked, rows, cwd=tmp_path, variables=one_thread)
        before = progress(tmp_path)
        while progress(tmp_path) == before and not ended(process, 0.01):
            pass
        ended(process, chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert capcli(*asked, rows, cwd=tmp_path, **one_thread).returncode == 0
    assert rows.read_bytes() == (tmp_path / "undisturbed").read_bytes()
