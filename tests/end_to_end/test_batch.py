"""Long runs as they go in life: stopped, full disks, two at a time, pipes, lists, workers that die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]
Eventually = Callable[[Callable[[], Any]], None]
MakePictures = Callable[[Path, int], "list[Path]"]

COUNT = 12
# The first batch is written at once, the second one is what a test interrupts.
SLOWLY, ENDLESSLY = {"BATCH_SECONDS": "0 0.5"}, {"BATCH_SECONDS": "0 600"}
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")


@pytest.fixture
def pictures(make_pictures: MakePictures, tmp_path: Path) -> list[str]:
    """Names of a dozen pictures relative to `tmp_path`, in order."""
    return [str(path.relative_to(tmp_path)) for path in make_pictures(tmp_path / "pictures", COUNT)]


def paths(rows: bytes) -> list[str]:
    return [json.loads(line)["path"] for line in rows.splitlines()]


def grown(rows: Path) -> Callable[[], bool]:
    return lambda: rows.exists() and rows.stat().st_size > 0


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_batch_in_hand_end(
    start: Start, caption: Caption, eventually: Eventually, pictures: list[str], tmp_path: Path, number: int
) -> None:
    asked: list[Any] = ["pictures", "--batch-size", 4, "-o"]
    caption(*asked, "whole.json")
    process = start(*asked, "rows.json", variables=SLOWLY)
    eventually(grown(tmp_path / "rows.json"))
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    done = len(json.loads((tmp_path / "rows.json").read_bytes()))
    assert done in (4, 8)
    assert errors.startswith(f"capcli: interrupted: captioned {done}, skipped 0, failed 0, ".encode())
    assert caption(*asked, "rows.json", "--resume").returncode == 0
    assert (tmp_path / "rows.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


@pytest.mark.slow
@posix_only
def test_a_second_ctrl_c_does_not_wait_for_the_batch(
    start: Start, eventually: Eventually, pictures: list[str], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    variables = {**ENDLESSLY, "BATCHES_BEGUN": str(begun)}
    process = start("pictures", "--batch-size", 4, "-o", "rows.json", variables=variables)
    eventually(lambda: begun.exists() and begun.stat().st_size == 2)

    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)  # or the system makes one of the two signals, and a third may kill what ends already
    assert (process.returncode, process.communicate()) == (130, (b"", b"capcli: interrupted\n"))
    assert [row["path"] for row in json.loads((tmp_path / "rows.json").read_bytes())] == pictures[:4]


@pytest.mark.slow
@posix_only
def test_two_runs_do_not_write_one_file(
    start: Start, caption: Caption, eventually: Eventually, pictures: list[str], tmp_path: Path
) -> None:
    first = start("pictures", "--batch-size", 4, "-o", "rows.jsonl", variables=SLOWLY)
    eventually(grown(tmp_path / "rows.jsonl"))
    first.send_signal(signal.SIGSTOP)
    for extra in ([], ["--resume"], ["--overwrite"], ["--retry-failed"]):
        second = caption("pictures", "-o", "rows.jsonl", *extra)
        assert second.returncode == 2
        assert second.stderr.startswith(b"capcli: error: rows.jsonl is being written by another run; ")
        assert second.stderr.count(b"\n") == 1
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    assert paths((tmp_path / "rows.jsonl").read_bytes()) == pictures


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "json"])
def test_a_full_disk_ends_the_run_and_more_room_completes_it(
    caption: Caption, pictures: list[str], tmp_path: Path, form: str
) -> None:
    import resource

    asked: list[Any] = ["pictures", "--batch-size", 4, "--format", form, "-o"]
    caption(*asked, "whole")
    whole = (tmp_path / "whole").read_bytes()

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, resource.RLIM_INFINITY))

    full = caption(*asked, "rows", preexec_fn=little_room)
    assert full.returncode == 1
    # Half of the smallest files has no room for the record of what made them either.
    assert full.stderr.splitlines()[-1] == (
        b"capcli: error: rows: file too large; the rows it holds are whole, and --resume goes on from them"
    )
    assert 0 < len((tmp_path / "rows").read_bytes()) <= len(whole) // 2
    assert caption(*asked, "rows", "--resume").returncode == 0
    assert (tmp_path / "rows").read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("where", ["stdout", "-o"])
def test_a_stream_without_room_is_one_line(caption: Caption, pictures: list[str], where: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = caption("pictures", *(["-o", "/dev/full"] if where == "-o" else []), stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"capcli: error: no space left on device\n"


@posix_only
def test_a_reader_that_has_enough_ends_the_run(start: Start, pictures: list[str]) -> None:
    process = start("pictures", "--batch-size", 1, variables={"BATCH_SECONDS": "0.05"})
    assert process.stdout is not None
    assert process.stdout.readline().startswith(pictures[0].encode() + b"\t")
    process.stdout.close()
    process.stdout = None
    assert (process.communicate()[1], process.returncode) == (b"", 141)


@pytest.mark.slow
@pytest.mark.skipif(not list(Path("/proc/self/task").glob("*/children")), reason="cannot tell which the workers are")
def test_workers_that_are_killed_cost_no_row(
    start: Start, eventually: Eventually, pictures: list[str], tmp_path: Path
) -> None:
    process = start("pictures", "--batch-size", 1, "-o", "rows.jsonl", variables={"BATCH_SECONDS": "0.1"})
    eventually(grown(tmp_path / "rows.jsonl"))
    workers = [
        pid for task in Path(f"/proc/{process.pid}/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    assert workers
    for pid in workers:
        assert b"capcli.pictures.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(int(pid), signal.SIGKILL)
    process.communicate()
    assert process.returncode == 0
    assert paths((tmp_path / "rows.jsonl").read_bytes()) == pictures


@pytest.mark.slow
def test_a_repaired_picture_is_tried_again(caption: Caption, pictures: list[str], tmp_path: Path) -> None:
    good = (tmp_path / pictures[5]).read_bytes()
    for broken in (pictures[2], pictures[5]):
        (tmp_path / broken).write_bytes(good[:40])
    asked = ["pictures", "-o", "rows.csv", "--errors", "errors.jsonl"]
    assert caption(*asked).returncode == 1
    assert paths((tmp_path / "errors.jsonl").read_bytes()) == [pictures[2], pictures[5]]

    (tmp_path / pictures[5]).write_bytes(good)
    resumed = caption(*asked, "--resume")
    assert (resumed.returncode, resumed.stderr) == (
        1,
        b"capcli: captioned 0, skipped 12 (2 failed before, see --retry-failed), failed 0\n",
    )
    again = caption(*asked, "--retry-failed")
    assert again.returncode == 1
    assert b"capcli: captioned 1, skipped 10, failed 1, " in again.stderr
    assert paths((tmp_path / "errors.jsonl").read_bytes()) == [pictures[2]]
    rows = (tmp_path / "rows.csv").read_text().splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == sorted(pictures)


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["pictures"], list(range(12))),
        (["pictures/*[02].png", "pictures/img?.png"], [0, 2, 10, 1, 3, 4, 5, 6, 7, 8, 9]),
        (["pictures", "--include", "img1*", "--exclude", "*1.PNG"], [10]),
        (["-r", ".", "--exclude", "pictures/img?.png"], [10, 11]),
        (["-"], [7, 3]),
        (["pictures/img1.png", "--from-file", "-"], [1, 7, 3]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_pictures_are_named_in_many_ways(
    caption: Caption, pictures: list[str], arguments: list[str], numbers: list[int]
) -> None:
    listed = f"{pictures[7]}\r\n{pictures[3]}".encode() if "-" in arguments else None
    done = caption(*arguments, "--format", "jsonl", input=listed)
    assert paths(done.stdout) == [pictures[number] for number in numbers]


@posix_only
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_can_do_without_colours(start: Start, pictures: list[str], variables: dict[str, str]) -> None:
    master, terminal = os.openpty()
    process = start("pictures", "--batch-size", 4, variables={"TERM": "xterm-256color", **variables}, stderr=terminal)
    os.close(terminal)
    process.communicate()
    shown = os.read(master, 100_000)
    os.close(master)
    assert b"captioned 12, " in shown
    assert not re.search(rb"\x1b\[[0-9;]*m", shown.replace(b"\x1b[0m", b""))


def test_heic_without_its_extra_names_it(caption: Caption, tmp_path: Path) -> None:
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "pillow_heif.py").write_text("raise ImportError")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    (tmp_path / "a.heic").write_bytes(heic)
    done = caption("a.heic", variables={"PYTHONPATH": str(tmp_path / "shadow")})
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b'capcli: a.heic: is a HEIC picture, which needs pillow-heif: pip install "capcli[heic]"\n'
