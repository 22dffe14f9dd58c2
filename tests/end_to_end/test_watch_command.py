"""`capcli caption --watch`: pictures that arrive are captioned once they are whole."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
Eventually = Callable[[Callable[[], Any]], None]
MakePictures = Callable[[Path, int], "list[Path]"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot be sent a Ctrl-C of its own")


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def next_line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line on stderr."""
    stream: IO[bytes] | None = process.stderr
    assert stream is not None
    return stream.readline()


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def interrupted(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGINT)
    _, last = process.communicate()
    assert process.returncode == 130
    return last


@pytest.mark.slow
def test_pictures_are_captioned_as_they_arrive_and_only_once(
    start: Start, eventually: Eventually, make_pictures: MakePictures, watched: Path, tmp_path: Path
) -> None:
    first, slow, last, late = make_pictures(tmp_path / "camera", 4)
    asked: list[Any] = ["--watch", "watched", "-o", "rows.jsonl"]
    file = tmp_path / "rows.jsonl"
    process = start(*asked)
    assert next_line(process) == b"capcli: watching watched; Ctrl-C ends it\n"

    shutil.copy(first, watched)
    eventually(lambda: file.exists() and len(rows(file)) == 1)
    content = slow.read_bytes()
    with (watched / slow.name).open("wb") as growing:
        growing.write(content[: len(content) // 2])
        growing.flush()
        if sys.platform == "linux":  # elsewhere a pause of two seconds is taken for the end
            shutil.copy(last, watched)
            eventually(lambda: len(rows(file)) == 2)
        growing.write(content[len(content) // 2 :])
    shutil.copy(last, watched)
    eventually(lambda: len(rows(file)) == 3)
    assert interrupted(process).startswith(b"capcli: interrupted: captioned 3, skipped 0, failed 0, ")
    found = rows(file)
    assert sorted(row["path"] for row in found) == sorted(f"watched/{path.name}" for path in (first, slow, last))
    assert found[0]["path"] == f"watched/{first.name}"
    assert all("caption" in row for row in found)

    again = start(*asked, "--resume")
    assert next_line(again) == b"capcli: watching watched; Ctrl-C ends it\n"
    shutil.copy(late, watched)
    eventually(lambda: len(rows(file)) == 4)
    assert interrupted(again).startswith(b"capcli: interrupted: captioned 1, skipped 3, failed 0")
    assert rows(file)[:3] == found


@pytest.mark.slow
def test_what_is_there_already_comes_first_and_folders_below_are_asked_for(
    start: Start, eventually: Eventually, make_pictures: MakePictures, watched: Path, tmp_path: Path
) -> None:
    pictures = make_pictures(tmp_path / "camera", 3)
    shutil.copy(pictures[0], watched)
    process = start("--watch", "watched", "-r", "--sidecar", "txt", "--format", "jsonl", "-o", "rows.jsonl")
    assert next_line(process) == b"capcli: watching watched; Ctrl-C ends it\n"
    eventually(lambda: len(rows(tmp_path / "rows.jsonl")) == 1)
    shutil.copytree(tmp_path / "camera", watched / "new")
    eventually((watched / "new" / pictures[2].with_suffix(".txt").name).exists)
    eventually(lambda: len(rows(tmp_path / "rows.jsonl")) == 4)
    interrupted(process)


@pytest.mark.slow
def test_a_folder_that_goes_away_ends_the_watch(start: Start, watched: Path) -> None:
    process = start("--watch", "watched")
    next_line(process)
    watched.rmdir()
    _, last = process.communicate()
    assert (process.returncode, last) == (
        2,
        b"capcli: error: watched is gone; there is nothing to watch any more\n",
    )
