"""Whatever names and texts of strangers hold, what capcli prints is one line that cannot steer a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from capcli.cli import app
from capcli.cli.messages import print_json, tell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3 pictures", "3 pictures"),
        ("a\nb.jpg: \x1b[31mred\x9b", "a\\nb.jpg: \\x1b[31mred\\x9b"),
        ("a\tb\r\x7f", "a\\tb\\r\\x7f"),
        ("Łódź 犬 [bold]", "Łódź 犬 [bold]"),
        ("not 'a\\tb' in C:\\new", "not 'a\\tb' in C:\\new"),
        ("a\u2028b\u202ec\u2066", "a\\u2028b\\u202ec\\u2066"),
    ],
)
def test_a_message_is_one_line_that_steers_nothing(capsys: pytest.CaptureFixture[str], text: str, shown: str) -> None:
    tell(text)
    assert capsys.readouterr() == ("", f"capcli: {shown}\n")


def test_a_message_that_nobody_can_hear_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(typer, "echo", fail)
    tell("3 pictures")


@pytest.mark.parametrize(
    "arguments",
    [
        ["caption", "\x1b[2Jno.jpg"],
        ["attend", "\x1b[2Jno.jpg", "-o", "out"],
        ["caption", "no.jpg", "--format", "\x1b[2J"],
        ["models", "show", "\x1b[2Jno.safetensors"],
        ["models", "show", "a", "\x1b[2J"],
        ["\x1b[2J"],
    ],
    ids=" ".join,
)
def test_an_error_steers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("capcli: error: ")
    assert "\x1b" not in line and "x1b[2J" in line


def test_a_computer_without_torch_says_what_to_install(tmp_path: Path) -> None:
    def load(place: object) -> None:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    done = CliRunner().invoke(app, ["caption", str(tmp_path / "a.png")], obj=load)
    assert done.exit_code == 2
    assert done.stderr == "capcli: error: this needs torch, which is not installed: pip install torch torchvision\n"


def test_json_holds_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": "caf\udce9 犬"})
    assert json.loads(capsys.readouterr().out) == {"file": "caf\udce9 犬"}
