"""What goes to which stream, and how the command behaves among other commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from preloaded import ForkedRun

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]
Start = Callable[..., ForkedRun]
Imports = Callable[..., "tuple[subprocess.CompletedProcess[str], set[str]]"]


def test_help_imports_no_torch(imports: Imports) -> None:
    for arguments in (["--help"], ["caption", "--help"], ["train", "--help"], ["--version"]):
        done, imported = imports(*arguments)
        assert done.returncode == 0
        assert "capcli.cli" in imported
        assert not {name for name in imported if name.split(".")[0] in ("torch", "torchvision", "numpy")}


def test_a_wrong_path_is_told_before_torch_is_imported(imports: Imports) -> None:
    done, imported = imports("caption", "absent.jpg")
    assert done.returncode == 2
    assert "capcli.cli" in imported and "torch" not in imported


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("caption", "--keywords", "3"), ("caption", "-o", "photos.db"), ("attend", "--method", "attention", "-o", "maps")],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_captions_and_attention_need_no_torch_on_a_cpu(
    imports: Imports, examples: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    places = [str(tmp_path / argument) if argument in ("photos.db", "maps") else argument for argument in arguments]
    done, imported = imports(*places, "--device", "cpu", examples / "cat.jpg")
    assert done.returncode == 0
    assert "onnxruntime" in imported
    assert not {name for name in imported if name.split(".")[0] in ("torch", "torchvision", "onnx")}


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
    caption: Caption, examples: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    done = caption(examples, tmp_path, "--batch-size", 2)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(list(examples.glob("*.jpg")))
    error, summary = done.stderr.decode().splitlines()
    assert error == f"capcli: {tmp_path / 'empty.jpg'}: is empty (0 bytes)"
    assert summary.startswith("capcli: captioned 5, skipped 0, failed 1, ")
    assert b"\x1b" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_on_a_terminal_progress_stays_out_of_stdout(start_quickly: Start, caption: Caption, examples: Path) -> None:
    master, follower = os.openpty()
    with open(follower, "wb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        process = start_quickly(examples, "--batch-size", 2, variables={"TERM": "xterm"}, stderr=terminal)
        printed = process.communicate()[0]
    shown = os.read(master, 100_000)
    os.close(master)
    assert process.returncode == 0
    assert printed == caption(examples).stdout != b""
    assert b"2/5" in shown


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_enough_ends_the_shipped_model_quietly(fork: Start, examples: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as stdout:  # noqa: PTH123 - a descriptor
        process = fork("caption", examples / "cat.jpg", examples / "coffee.jpg", "--batch-size", 1, stdout=stdout)
    assert (process.wait(), process.communicate()[1]) == (141, b"")


CLOSED = "capcli: error: stdout is closed, and the results go there; send them to a file by > FILE\n"


@pytest.mark.skipif(sys.platform == "win32", reason="shells close no streams there")
@pytest.mark.parametrize(
    "arguments",
    ["caption {picture}", "caption {picture} --format jsonl --sidecar txt", "attend {picture} -o maps", "attend --help",
     "train matching --data {picture}", "eval .", "compress base", "models list", "models list --json",
     "models compare base base.safetensors", "--help", "--version"],
)  # fmt: skip
def test_results_are_not_lost_in_a_closed_stdout(
    command: str, environment: dict[str, str], examples: Path, tmp_path: Path, arguments: str
) -> None:
    line = f"exec {command} {arguments.format(picture=examples / 'cat.jpg')} >&-"
    variables = {**environment, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, encoding="utf-8")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("import time:")]
    assert errors == [CLOSED]
    assert not any(line.endswith(" torch\n") for line in done.stderr.splitlines(keepends=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="shells close no streams there")
@pytest.mark.parametrize("closed", [">&-", ">&- <&-", ">&- <&- 2>&-"])
def test_captions_that_go_to_a_file_need_no_stdout(
    stand_in: list[str], environment: dict[str, str], examples: Path, tmp_path: Path, closed: str
) -> None:
    line = f"exec {shlex.join(stand_in)} caption {examples / 'cat.jpg'} -o rows.tsv {closed}"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment).returncode == 0
    assert re.fullmatch(rf"{examples / 'cat.jpg'}\tA picture of \w{{8}}, .*\n", (tmp_path / "rows.tsv").read_text())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="shells close no streams there")
def test_the_shipped_model_needs_no_streams_either(
    command: str, environment: dict[str, str], examples: Path, captions: dict[str, str], tmp_path: Path
) -> None:
    line = f"exec {command} caption {examples / 'cat.jpg'} -o rows.tsv >&- <&- 2>&-"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment).returncode == 0
    assert (tmp_path / "rows.tsv").read_text() == f"{examples / 'cat.jpg'}\t{captions['cat']}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
@pytest.mark.parametrize("arguments", ["models list", "models list --json", "--help", "caption --help", "--version"])
def test_a_full_stdout_is_one_line(command: str, environment: dict[str, str], arguments: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [command, *arguments.split()], env=environment, stdout=full, stderr=subprocess.PIPE, encoding="utf-8"
        )
    assert done.returncode == 1
    assert re.fullmatch(r"capcli: error: (stdout: )?no space left on device\n", done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_enough_of_a_short_output_ends_it_quietly(command: str, environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [command, "models", "list", "--json"], env=environment, stdout=writing, stderr=subprocess.PIPE
    )
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
