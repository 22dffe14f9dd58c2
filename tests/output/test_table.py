from __future__ import annotations

import io

import pytest
from rich.console import Console

from capcli.output.table import print_table


def test_a_table_in_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Models", ("name", "size"), [("base", "63.1 MB"), ("small", "8 MB")], numbers=["size"], footnotes=["n"])
    assert capsys.readouterr().out == "Models\nname      size\nbase   63.1 MB\nsmall     8 MB\n\nn\n"


def test_without_title_headings_and_notes_there_are_rows_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("", ""), [("file", "a.safetensors")])
    assert capsys.readouterr().out == "file  a.safetensors\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_in_it_steers_a_terminal(capsys: pytest.CaptureFixture[str], terminal: bool) -> None:
    bad = "\x1b[2J\n[bold]\udce9"
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, color_system=None, width=200) if terminal else None
    print_table(bad, (bad, bad), [(bad, bad)], numbers=[bad], footnotes=[bad], console=console)
    text = drawn.getvalue() if terminal else capsys.readouterr().out
    assert "\x1b[2J" not in text
    assert text.count("\\x1b[2J\\n[bold]?") == 6
