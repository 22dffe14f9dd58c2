from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from capcli.cli import app

HEAVY = ("torch", "torchvision", "numpy", "PIL", "rich")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["help", "caption"], ["caption", "--help"], ["caption", "/no/such/file.jpg"], ["x.jpg"]]
)
def test_nothing_heavy_is_imported_before_there_is_work(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from capcli.cli import app\n"
        "try: app(sys.argv[1:])\n"
        f"finally: print('heavy:', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["caption"],
        ["nonsense"],
        ["caption", "x.jpg", "--nonsense"],
        ["caption", "x.jpg", "--beam-size", "0"],
        ["caption", "x.jpg", "--beam-size", "many"],
        ["caption", "x.jpg", "--batch-size", "0"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_missing_path_is_one_line_and_exits_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["caption", str(tmp_path / "absent.jpg")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"capcli: error: no such file or folder: {tmp_path / 'absent.jpg'}\n"


def test_a_folder_without_pictures_exits_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["caption", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == f"capcli: error: no pictures in {tmp_path}\n"


def test_version_and_module() -> None:
    from capcli import __version__

    done = subprocess.run([sys.executable, "-m", "capcli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"capcli {__version__}\n"
    for name in ("--version", "-V"):
        result = CliRunner().invoke(app, [name])
        assert (result.exit_code, result.stdout) == (0, f"capcli {__version__}\n")


def test_help_shows_the_range_and_default_of_the_decoding_options() -> None:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "capcli", "caption", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "--beam-size" in shown
    assert "(1 to 32; default the model's own)" in " ".join(shown.split())


@pytest.mark.parametrize("module", ["typer", "pydantic"])
def test_ctrl_c_while_the_command_still_loads_is_one_line(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "capcli", "caption", "x.jpg"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "capcli: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT of another process")
def test_ctrl_c_while_a_class_is_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "import os, signal\n"
        "class Field:\n"
        "    def __set_name__(self, owner, name): os.kill(os.getpid(), signal.SIGINT)\n"
        "class Options: field = Field()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "capcli"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "capcli: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT of another process")
def test_another_ctrl_c_while_the_command_ends_says_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\nraise KeyboardInterrupt"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "capcli"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "capcli: interrupted\n")
