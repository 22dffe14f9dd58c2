"""What goes to which stream, and how the command behaves among other commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_imports_no_torch(capcli: Run) -> None:
    for arguments in (["--help"], ["caption", "--help"], ["train", "--help"], ["--version"]):
        done = capcli(*arguments, PYTHONPROFILEIMPORTTIME="1")
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert done.returncode == 0
        assert "capcli.cli" in imported
        assert not {name for name in imported if name.split(".")[0] in ("torch", "torchvision", "numpy")}


def test_a_wrong_path_is_told_before_torch_is_imported(capcli: Run) -> None:
    done = capcli("caption", "absent.jpg", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert not any(line.endswith(" torch") for line in done.stderr.splitlines())


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_escape_codes_reach_a_file(capcli: Run, examples: Path, variables: dict[str, str]) -> None:
    for arguments in (
        ["--help"],
        ["caption", "--help"],
        ["caption", "--beam-size", "99", examples],
        ["caption", "absent.jpg"],
    ):
        done = capcli(*arguments, **variables)
        assert "\x1b" not in done.stdout + done.stderr


def test_captions_and_errors_go_to_their_streams_without_escape_codes(
    capcli: Run, examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    done = capcli("caption", examples, tmp_path, "--batch-size", 2)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(list(examples.glob("*.jpg")))
    error, summary = done.stderr.splitlines()
    assert error == f"capcli: {tmp_path / 'empty.jpg'}: is empty (0 bytes)"
    assert summary.startswith("capcli: captioned 5, skipped 0, failed 1, ")
    assert "\x1b" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_on_a_terminal_progress_stays_out_of_stdout(
    command: str, environment: dict[str, str], examples: Path, captions: dict[str, str]
) -> None:
    master, terminal = os.openpty()
    done = subprocess.run(
        [command, "caption", str(examples), "--batch-size", "2"],
        env={**environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        encoding="utf-8",
    )
    os.close(terminal)
    shown = os.read(master, 100_000)
    os.close(master)
    assert done.returncode == 0
    assert [row.split("\t")[1] for row in done.stdout.splitlines()] == [captions[n] for n in sorted(captions)]
    assert b"2/5" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_enough_ends_it_quietly(command: str, environment: dict[str, str], examples: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([command, "caption", str(examples)], env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_python_dash_m_is_the_command(
    environment: dict[str, str], examples: Path, captions: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "capcli", "caption", str(examples / "coffee.jpg")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, captions["coffee"] + "\n", "")
