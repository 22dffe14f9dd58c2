"""Rows of files with the worst of names, read back by parsers that are not capcli's."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]
MakePictures = Callable[[Path, int], "list[Path]"]

NAMES = ["two words", "-o", "--help", "日本", "🐈", "e\u0301", "a,b;c", "it's", "%s{0}", "\u2028\u0085"]
if sys.platform != "win32":
    NAMES += ["x" * 251, "new\nline", "tab\t", "return\r\n", 'quo"te"', "\\t", "*?", "\x1b[31m"]
NAMES += ["\u00e9", os.fsdecode(b"\xff\xfe"), os.fsdecode(b"caf\xe9,\n")] if sys.platform == "linux" else []


def as_lines(content: bytes) -> list[str]:
    def plain(line: bytes) -> str:
        return re.sub(r"\\(x..|.)", lambda found: ast.literal_eval(f"'{found[0]}'"), os.fsdecode(line.split(b"\t")[0]))

    return [plain(line) for line in content.split(b"\n")[:-1]]


def as_csv(content: bytes) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(content), "utf-8", "surrogateescape", newline="")
    return [row["path"] for row in csv.DictReader(file, strict=True)]


PARSERS: dict[str, Callable[[bytes], list[str]]] = {
    "text": as_lines,
    "tsv": as_lines,
    "csv": as_csv,
    "json": lambda content: [row["path"] for row in json.loads(content)],
    "jsonl": lambda content: [json.loads(line)["path"] for line in content.split(b"\n")[:-1]],
    "coco": lambda content: [row["image_id"] for row in json.loads(content)],
}


@pytest.fixture
def folder(make_pictures: MakePictures, tmp_path: Path) -> Path:
    for path, name in zip(make_pictures(tmp_path / "pictures", len(NAMES)), NAMES, strict=True):
        path.rename(path.with_name(f"{name}.png"))
    return tmp_path / "pictures"


@pytest.mark.parametrize("form", PARSERS)
def test_any_name_comes_back_from_stdout_and_from_a_file(
    caption: Caption, folder: Path, tmp_path: Path, form: str
) -> None:
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names are compared
    printed = caption(".", "--format", form, cwd=folder)
    kept = caption(".", "--format", form, "-o", tmp_path / "rows", cwd=folder)
    assert (printed.returncode, kept.returncode, kept.stdout) == (0, 0, b"")
    assert sorted(PARSERS[form](printed.stdout)) == names
    assert (tmp_path / "rows").read_bytes() == printed.stdout


@pytest.mark.parametrize("form", PARSERS)
def test_a_resumed_run_knows_any_name_again(caption: Caption, folder: Path, tmp_path: Path, form: str) -> None:
    rows = tmp_path / "rows"
    caption(".", "--format", form, "-o", rows, cwd=folder)
    content = rows.read_bytes()
    again = caption(".", "--format", form, "-o", rows, "--resume", cwd=folder)
    assert again.stderr == f"capcli: captioned 0, skipped {len(NAMES)}, failed 0\n".encode()
    assert rows.read_bytes() == content


def test_a_table_that_a_spreadsheet_saved_is_gone_on_with(
    caption: Caption, make_pictures: MakePictures, tmp_path: Path
) -> None:
    make_pictures(tmp_path / "pictures", 3)
    caption("pictures", "-o", "whole.csv")
    records = list(csv.reader(io.StringIO((tmp_path / "whole.csv").read_text(), newline="")))
    with (tmp_path / "rows.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(records[:3])
    before = (tmp_path / "rows.csv").read_bytes()
    done = caption("pictures", "-o", "rows.csv", "--resume")
    assert b"capcli: captioned 1, skipped 2, failed 0, " in done.stderr
    after = (tmp_path / "rows.csv").read_bytes()
    assert after.startswith(before)
    assert after.endswith(b"\r\n")
    saved = list(csv.reader(io.StringIO(after.decode("utf-8-sig"), newline=""), delimiter=";", strict=True))
    assert [record[:3] for record in saved] == [record[:3] for record in records]


def test_names_in_error_messages_stay_on_one_line(caption: Caption, folder: Path) -> None:
    for picture in folder.iterdir():
        picture.write_bytes(b"")
    done = caption(".", "--format", "jsonl", cwd=folder)
    assert done.returncode == 1
    assert len(done.stderr.split(b"\n")) == len(NAMES) + 2
    assert b"\x1b" not in done.stderr
    assert sorted(json.loads(line)["path"] for line in done.stdout.split(b"\n")[:-1]) == sorted(
        os.listdir(folder)  # noqa: PTH208 - names are compared
    )


@pytest.mark.skipif(sys.platform == "win32", reason="has no find that prints null bytes")
def test_find_hands_over_any_name(caption: Caption, folder: Path) -> None:
    found = subprocess.run(["find", ".", "-type", "f", "-print0"], cwd=folder, stdout=subprocess.PIPE, check=True)
    done = caption("-0", "--from-file", "-", "--format", "jsonl", input=found.stdout, cwd=folder)
    assert done.returncode == 0
    assert sorted(PARSERS["jsonl"](done.stdout)) == sorted(os.listdir(folder))  # noqa: PTH208
