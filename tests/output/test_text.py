from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from capcli.output import Result
from capcli.output.text import TextWriter, escape


def written(*results: Result, alone: bool = False) -> bytes:
    stream = io.BytesIO()
    writer = TextWriter(stream, alone=alone)
    for result in results:
        writer.write(result)
    return stream.getvalue()


def test_a_row_is_path_tab_caption() -> None:
    first = Result(Path("a b.jpg"), "a dog runs", 0.5, "base")
    second = Result(Path("dir/ü.jpg"), "a café", 0.5, "base")
    assert written(first, second).decode() == f"a b.jpg\ta dog runs\n{second.path}\ta café\n"


def test_alone_is_the_sentence_only() -> None:
    assert written(Result(Path("a.jpg"), "a dog runs"), alone=True) == b"a dog runs\n"


def test_an_error_leaves_no_row() -> None:
    assert written(Result(Path("a.jpg"), error="is empty")) == b""


@pytest.mark.skipif(os.sep == "\\", reason="Windows has no such names")
def test_names_cannot_break_a_row_or_steer_the_terminal() -> None:
    row = written(Result(Path("a\tb\nc\rd\\e\x1b[2J\x9b.jpg"), "a dog"))
    assert row == b"a\\tb\\nc\\rd\\\\e\\x1b[2J\\x9b.jpg\ta dog\n"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_bytes_of_an_undecodable_name_come_out_as_they_are() -> None:
    name = b"caf\xe9 \xff.jpg"
    assert written(Result(Path(os.fsdecode(name)), "a dog")) == name + b"\ta dog\n"


def test_escape_leaves_ordinary_names_alone() -> None:
    assert escape(Path("dir") / "naïve photo (1).jpg") == str(Path("dir") / "naïve photo (1).jpg")
