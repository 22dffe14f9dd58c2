"""Files of rows: whole at any moment, resumed from any, never doubled."""

from __future__ import annotations

import codecs
import csv
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from full_disk import file_size_limit
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_results import CAPTIONED, FAILED, NAMES, UNCERTAIN

from capcli.errors import CapcliError, UsageError
from capcli.output import Result, State
from capcli.output.formats.csv import COLUMNS
from capcli.output.formats.registry import FORMATS
from capcli.output.rows import RowFile

RESULTS = (CAPTIONED, UNCERTAIN, FAILED, Result(Path('x\n"y",.jpg'), ("A dog.",), (0.5,), "base"))
every_format = pytest.mark.parametrize("form", FORMATS)


def opened(path: Path, form: str, **options: bool) -> RowFile:
    return RowFile(path, FORMATS[form](), **options)


def write(path: Path, form: str, *results: Result, **options: bool) -> bytes:
    with opened(path, form, **options) as rows:
        for result in results:
            rows.write(result)
    return path.read_bytes()


@every_format
def test_a_file_that_exists_is_refused(tmp_path: Path, form: str) -> None:
    before = write(tmp_path / "rows", form, CAPTIONED)
    with pytest.raises(UsageError, match="--resume goes on with it, --overwrite begins anew"):
        opened(tmp_path / "rows", form)
    assert (tmp_path / "rows").read_bytes() == before


@every_format
def test_the_file_is_whole_after_every_row(tmp_path: Path, form: str) -> None:
    contents = []
    with opened(tmp_path / "rows", form) as rows:
        for result in RESULTS:
            rows.write(result)
            contents.append((tmp_path / "rows").read_bytes())
    for count, content in enumerate(contents, 1):
        assert content == write(tmp_path / f"rows{count}", form, *RESULTS[:count])


@every_format
@pytest.mark.parametrize("done", range(len(RESULTS) + 1))
def test_a_resumed_file_equals_one_written_at_once(tmp_path: Path, form: str, done: int) -> None:
    whole = write(tmp_path / "whole", form, *RESULTS)
    write(tmp_path / "rows", form, *RESULTS[:done])
    assert write(tmp_path / "rows", form, *RESULTS[done:], resume=True) == whole


@every_format
@settings(deadline=None)
@given(data=st.data())
def test_a_file_broken_off_anywhere_loses_only_its_last_row(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    names = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=Path))
    results = [Result(Path(name), ("A dog.",), (0.5,), "base") for name in names]
    whole = write(folder / "whole", form, *results)
    first = len(write(folder / "first", form, results[0])) - len(FORMATS[form].end)
    # Of a text file's first row, nothing tells that it was one.
    cut = data.draw(st.integers(first if form in ("text", "tsv") else 0, len(whole)))
    (folder / "rows").write_bytes(whole[:cut])
    with opened(folder / "rows", form, resume=True) as rows:
        left = [result for result in results if rows.state(result.path) is None]
        assert left == results[len(results) - len(left) :]
        for result in left:
            rows.write(result)
    assert (folder / "rows").read_bytes() == whole


@every_format
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=repr)
@pytest.mark.parametrize("done", range(1, len(RESULTS)))
def test_a_file_that_an_editor_saved_is_gone_on_with_in_its_way(
    tmp_path: Path, form: str, mark: bytes, newline: bytes, done: int
) -> None:
    results = (*RESULTS[:3], Result(Path('"y",.jpg'), ("A dog.",), (0.5,), "base"))
    before = mark + write(tmp_path / "done", form, *results[:done]).replace(b"\n", newline)
    whole = mark + write(tmp_path / "whole", form, *results).replace(b"\n", newline)
    for cut in range(4):  # a run that goes on with it may be killed too
        (tmp_path / "rows").write_bytes(before)
        write(tmp_path / "rows", form, *results[done:], resume=True)
        assert (tmp_path / "rows").read_bytes() == whole
        left = len(whole) - cut
        if left >= len(before):
            (tmp_path / "rows").write_bytes(whole[:left])
            with opened(tmp_path / "rows", form, resume=True) as rows:
                for result in results:
                    if rows.state(result.path) is None:
                        rows.write(result)
            assert (tmp_path / "rows").read_bytes() == whole


@every_format
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=repr)
def test_a_last_row_that_lacks_only_its_line_end_stays(tmp_path: Path, form: str, newline: bytes) -> None:
    edited = write(tmp_path / "rows", form, UNCERTAIN, CAPTIONED).replace(b"A dog runs.", b"My dog runs.")
    edited = edited.replace(b"\n", newline)
    (tmp_path / "rows").write_bytes(edited.removesuffix(FORMATS[form].end.replace(b"\n", newline)).rstrip(b"\r\n"))
    with opened(tmp_path / "rows", form, resume=True) as rows:
        # Of a text without its line end nothing tells whether it is whole.
        doubtful = form in ("text", "tsv")
        assert rows.state(CAPTIONED.path) is (None if doubtful else State.CAPTIONED)
        assert [f"{CAPTIONED.path}\tMy dog runs." in note for note in rows.notes] == [True] * doubtful
    assert (tmp_path / "rows").read_bytes() == edited


@pytest.mark.parametrize("form", ["text", "tsv"])
def test_a_row_that_may_be_half_is_replaced_once_its_picture_is_captioned(tmp_path: Path, form: str) -> None:
    whole = write(tmp_path / "rows", form, UNCERTAIN, CAPTIONED)
    (tmp_path / "rows").write_bytes(whole[:-6])
    assert write(tmp_path / "rows", form, CAPTIONED, resume=True) == whole


@pytest.mark.parametrize(
    ("last", "state", "kept"),
    [
        (b"a.jpg,My dog.,[],0.5,,base,,,", State.CAPTIONED, True),
        (b"a.jpg,My dog.,[],0.5,,base,,", None, False),
        (b"a.jpg,My dog.,[],0.5,,ba", None, False),
        (b"a.jpg,,,,,,,,", None, False),
        (b"a.jpg,,,,,,,,cannot be re", None, True),
    ],
)
def test_a_csv_loses_its_last_row_only_where_it_is_half_a_row(
    tmp_path: Path, last: bytes, state: State | None, kept: bool
) -> None:
    before = write(tmp_path / "rows", "csv", UNCERTAIN)
    (tmp_path / "rows").write_bytes(before + last)
    with opened(tmp_path / "rows", "csv", resume=True) as rows:
        assert rows.state(Path("a.jpg")) is state
        assert [last.decode() in note for note in rows.notes] == [True] * (state is None)
    assert (tmp_path / "rows").read_bytes() == before + (last + b"\n" if kept else b"")


def test_keywords_at_the_end_of_a_csv_are_whole_or_none(tmp_path: Path) -> None:
    format = FORMATS["csv"](with_keywords=True)
    row = b'a.jpg,My dog.,[],0.5,,base,,,,"[{""word"": ""dog""}]"'
    for cut in range(len(row)):
        (tmp_path / "rows").write_bytes(format.begin + row[: len(row) - cut])
        with RowFile(tmp_path / "rows", format, resume=True) as rows:
            assert rows.state(Path("a.jpg")) is (None if cut else State.CAPTIONED)


def test_a_quotation_mark_too_few_in_a_csv_costs_no_row(tmp_path: Path) -> None:
    commas = Result(Path("a,b.jpg"), ("A dog.",), (0.5,), "base")
    whole = write(tmp_path / "rows", "csv", UNCERTAIN, commas, CAPTIONED)
    for edited in (whole.replace(b'b.jpg"', b"b.jpg"), whole.replace(b",A dog.,", b',A 5" dog.,')):
        (tmp_path / "rows").write_bytes(edited)
        with pytest.raises(UsageError, match="does not hold rows of this format"):
            opened(tmp_path / "rows", "csv", resume=True)
        assert (tmp_path / "rows").read_bytes() == edited


def spreadsheet(content: bytes, columns: Sequence[str] = COLUMNS, separator: str = ";", filled: bool = True) -> bytes:
    """A CSV of capcli's as a spreadsheet saves it: `filled` says whether it separates empty cells at a row's end."""
    header, *records = csv.reader(io.StringIO(content.decode(), newline=""))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(columns)
    for record in records:
        cells = [dict(zip(header, record, strict=True)).get(column, "") for column in columns]
        cells = ["TRUE" if cell == "true" else cell for cell in cells]
        while not filled and not cells[-1]:
            del cells[-1]
        writer.writerow(cells)
    return text.getvalue().encode("utf-8-sig")


@pytest.mark.parametrize("separator", ",;\t")
@pytest.mark.parametrize("columns", [COLUMNS, ("my notes", *reversed(COLUMNS), "")], ids=["same", "others"])
@pytest.mark.parametrize("filled", [True, False], ids=["filled", "ragged"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
def test_a_csv_that_a_spreadsheet_saved_is_gone_on_with(
    tmp_path: Path, separator: str, columns: tuple[str, ...], filled: bool, first: str
) -> None:
    saved = spreadsheet(write(tmp_path / "done", "csv", *RESULTS[:3]), columns, separator, filled)
    saved = codecs.BOM_UTF8 + first.format(separator).encode() + saved.removeprefix(codecs.BOM_UTF8)
    (tmp_path / "rows").write_bytes(saved)
    with opened(tmp_path / "rows", "csv", resume=True) as rows:
        states = [rows.state(result.path) for result in RESULTS]
        assert states == [State.CAPTIONED, State.UNCERTAIN, State.FAILED, None]
        rows.write(Result(Path("z;,.jpg"), ("A dog; a cat.",), (0.5,), "base"))
        rows.write(RESULTS[3])
    after = (tmp_path / "rows").read_bytes()
    assert after.startswith(saved)
    added = after.removeprefix(saved).decode()
    assert added.count("\r\n") == 2
    records = list(csv.DictReader(io.StringIO(added, newline=""), columns, delimiter=separator, strict=True))
    assert [(record["path"], record["caption"], record["confidence"]) for record in records] == [
        ("z;,.jpg", "A dog; a cat.", "0.5"),
        ('x\n"y",.jpg', "A dog.", "0.5"),
    ]
    with opened(tmp_path / "rows", "csv", resume=True) as rows:
        assert rows.state(Path("z;,.jpg")) is State.CAPTIONED
        rows.forget({FAILED.path, Path("z;,.jpg")})
    kept = [line for line in after.splitlines(keepends=True) if FAILED.path.name.encode() not in line]
    assert (tmp_path / "rows").read_bytes() == b"".join(line for line in kept if b"z;," not in line)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (spreadsheet(b"path,caption\na.jpg,A dog.\n", ("path", "caption")), "its header lacks captions, confidence, "),
        ("path,caption\n".encode("utf-16"), "it is in UTF-16, not UTF-8"),
        (
            spreadsheet((",".join(COLUMNS) + "\né.jpg,A dog.,,,,,,,\n").encode())[3:].decode().encode("cp1252"),
            "row 1: it is not in UTF-8",
        ),
        (spreadsheet((",".join(COLUMNS) + "\n,,,,,,,,\n").encode()), "row 1: a record has a path"),
    ],
    ids=["columns", "UTF-16", "CP1252", "blank row"],
)
def test_a_csv_that_cannot_be_gone_on_with_is_left_as_it_is(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(UsageError, match="does not hold rows of this format") as caught:
        opened(tmp_path / "rows", "csv", resume=True)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "rows").read_bytes() == content


@every_format
def test_states_are_those_of_the_rows(tmp_path: Path, form: str) -> None:
    write(tmp_path / "rows", form, *RESULTS)
    with opened(tmp_path / "rows", form, resume=True) as rows:
        states = [rows.state(result.path) for result in RESULTS]
        assert rows.state(Path("new.jpg")) is None
    failed = State.FAILED if form in ("csv", "json", "jsonl") else None  # the others have no row for it
    assert states == [State.CAPTIONED, State.UNCERTAIN, failed, State.CAPTIONED]


def test_a_picture_is_the_same_however_its_path_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows", "jsonl", CAPTIONED)
    with opened(tmp_path / "rows", "jsonl", resume=True) as rows:
        for spelling in ("a.jpg", "./a.jpg", "b/../a.jpg", str(tmp_path / "a.jpg")):
            assert rows.state(Path(spelling)) is State.CAPTIONED
        rows.forget({tmp_path / "a.jpg"})
        assert rows.state(CAPTIONED.path) is None


@pytest.mark.skipif(os.name == "nt", reason="there are no resource limits there")
@every_format
def test_a_disk_too_full_to_forget_loses_no_row(tmp_path: Path, form: str) -> None:
    before = write(tmp_path / "rows", form, CAPTIONED, *RESULTS[3:], UNCERTAIN)
    (tmp_path / "rows").chmod(0o600)
    with opened(tmp_path / "rows", form, resume=True) as rows:
        with file_size_limit(20), pytest.raises(CapcliError, match="the rows it holds are whole"):
            rows.forget({CAPTIONED.path})
        assert (tmp_path / "rows").read_bytes() == before
        rows.forget({CAPTIONED.path})
        rows.write(CAPTIONED)
    assert {entry.name for entry in tmp_path.iterdir()} == {"rows"}
    assert (tmp_path / "rows").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "rows").read_bytes() == write(tmp_path / "new", form, *RESULTS[3:], UNCERTAIN, CAPTIONED)


def test_a_csv_edited_by_hand_is_refused_where_it_is_broken(tmp_path: Path) -> None:
    write(tmp_path / "rows", "csv", *RESULTS, CAPTIONED)
    edited = (tmp_path / "rows").read_bytes().replace(b"A dog runs.", b'A 5" dog.', 1)
    (tmp_path / "rows").write_bytes(edited)
    with pytest.raises(UsageError, match="does not hold rows of this format"):
        opened(tmp_path / "rows", "csv", resume=True)
    assert (tmp_path / "rows").read_bytes() == edited


@every_format
def test_forgotten_rows_leave_the_rest_as_it_was(tmp_path: Path, form: str) -> None:
    write(tmp_path / "rows", form, *RESULTS)
    with opened(tmp_path / "rows", form, resume=True) as rows:
        rows.forget({CAPTIONED.path, FAILED.path})
        assert rows.state(CAPTIONED.path) is None
        rows.write(CAPTIONED)
    expected = write(tmp_path / "expected", form, UNCERTAIN, RESULTS[3], CAPTIONED)
    assert (tmp_path / "rows").read_bytes() == expected
    assert {entry.name for entry in tmp_path.iterdir()} == {"rows", "expected"}


@every_format
def test_overwriting_keeps_the_old_rows_until_there_is_a_new_one(tmp_path: Path, form: str) -> None:
    before = write(tmp_path / "rows", form, UNCERTAIN)
    with pytest.raises(RuntimeError), opened(tmp_path / "rows", form, overwrite=True):
        raise RuntimeError
    assert (tmp_path / "rows").read_bytes() == before
    assert write(tmp_path / "rows", form, CAPTIONED, overwrite=True) == write(tmp_path / "new", form, CAPTIONED)


@every_format
def test_no_rows_are_a_file_too_but_a_run_that_fails_leaves_none(tmp_path: Path, form: str) -> None:
    content = write(tmp_path / "rows", form)
    assert content == FORMATS[form].begin + FORMATS[form].end
    assert write(tmp_path / "rows", form, CAPTIONED, resume=True) == write(tmp_path / "one", form, CAPTIONED)
    with pytest.raises(RuntimeError), opened(tmp_path / "failed", form):
        raise RuntimeError
    assert not (tmp_path / "failed").exists()


@every_format
@pytest.mark.parametrize(
    "content",
    [
        b"my notes\nof long ago\n",
        b'[\n  {\n    "a": 1\n  }\n]\n',
        b"no line break",
        b"path,caption\na,b\n",
        b"\x89PNG\r\n",
    ],
)
def test_a_file_that_holds_something_else_is_not_touched(tmp_path: Path, form: str, content: bytes) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(UsageError, match="does not hold rows of this format"):
        opened(tmp_path / "rows", form, resume=True)
    assert (tmp_path / "rows").read_bytes() == content


def test_a_broken_row_among_whole_ones_is_refused(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows", "jsonl", CAPTIONED, FAILED).splitlines(keepends=True)
    (tmp_path / "rows").write_bytes(rows[0] + rows[0][:20] + b"\n" + rows[1])
    with pytest.raises(UsageError, match="row 2"):
        opened(tmp_path / "rows", "jsonl", resume=True)


def test_a_second_run_is_refused_while_the_first_one_lives(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with opened(path, "jsonl") as rows:
        rows.write(CAPTIONED)
        for options in ({"resume": True}, {"overwrite": True}, {}):
            with pytest.raises(UsageError, match="is being written by another run"):
                opened(path, "jsonl", **options)
        rows.forget({CAPTIONED.path})  # which puts another file in its place
        with pytest.raises(UsageError, match="is being written by another run"):
            opened(path, "jsonl", resume=True)
    opened(path, "jsonl", resume=True).__exit__(None, None, None)


HOLD = """
import os, signal, sys
from pathlib import Path
from capcli.output.formats.json import JsonLines
from capcli.output.rows import RowFile
rows = RowFile(Path(sys.argv[1]), JsonLines())
print("locked", flush=True)
os.kill(os.getpid(), signal.SIGKILL if sys.stdin.readline() else signal.SIGTERM)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "rows")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(UsageError, match="another run"):
        opened(tmp_path / "rows", "jsonl")
    other.communicate("die\n")
    assert write(tmp_path / "rows", "jsonl", CAPTIONED)


@pytest.mark.skipif(os.name == "nt", reason="there are no resource limits there")
@every_format
def test_a_full_disk_is_one_line_and_loses_no_row(tmp_path: Path, form: str) -> None:
    path = tmp_path / "rows"
    size = len(write(tmp_path / "one", form, CAPTIONED))
    rows = opened(path, form)
    rows.write(CAPTIONED)
    before = path.read_bytes()
    with file_size_limit(size + 10), pytest.raises(CapcliError, match=r"too large; the rows it holds are whole"):
        rows.write(Result(Path("long.jpg"), ("A dog " * 20,), (0.5,), "base"))
    assert path.read_bytes() == before
    rows.__exit__(RuntimeError, None, None)
    whole = write(tmp_path / "whole", form, CAPTIONED, UNCERTAIN)
    assert write(path, form, UNCERTAIN, resume=True) == whole


@pytest.mark.parametrize("place", ["absent/rows.jsonl", "."])
def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        opened(tmp_path / place, "jsonl")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="links need privileges there")
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "rows").symlink_to(tmp_path / "real" / "rows")
    write(tmp_path / "rows", "jsonl", CAPTIONED, FAILED)
    with opened(tmp_path / "rows", "jsonl", resume=True) as rows:
        rows.forget({FAILED.path})
    assert (tmp_path / "rows").is_symlink()
    assert (tmp_path / "real" / "rows").read_bytes().count(b"\n") == 1
