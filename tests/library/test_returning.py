"""Tables that people edited and brought back, whatever a spreadsheet did to them."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from kept_results import make_kept

from capcli.errors import DatasetError
from capcli.library.contents import find_faults, read_results
from capcli.library.database import reading
from capcli.library.returning import Returned, take_back
from capcli.library.review import decide, read_window
from capcli.output.formats.csv import Csv

Keep = Callable[..., list[Path]]
Rows = list[dict[str, str]]


@pytest.fixture
def library(keep: Keep, tmp_path: Path) -> Path:
    results = {}
    for name in ("a", "b;\n", "c", "d"):
        path = tmp_path / f"{name}.jpg"
        path.write_text(name)
        results[path] = make_kept(path, f"A {name}.")
    keep(results)
    return tmp_path / "photos.db"


def export(library: Path) -> Rows:
    form = Csv(with_review=True)
    content = form.begin + b"".join(form.encode(result) or b"" for result in read_results(library))
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def save(library: Path, rows: Rows, separator: str = ",") -> Path:
    table = library.with_name("captions.csv")
    with table.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return table


def caption_and_status(library: Path) -> dict[str, tuple[str, str | None]]:
    return {result.path.stem: (result.captions[0], result.status) for result in read_results(library)}


def change(library: Path, name: str, text: str) -> None:
    row = next(row for row in read_window(library, None, None, 99) if Path(row.path).stem == name)
    decide(library, row.id, row.version, "accepted", text, "Bob")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_edits_come_back_from_a_table_that_was_sorted_cut_and_doubled(library: Path, separator: str) -> None:
    a, b, c, _ = export(library)
    a["caption"], b["status"] = "Anna's dog.", "Rejected"
    rows = [b, a, c, dict(c), dict(a)]
    random.Random(0).shuffle(rows)
    done = take_back(library, save(library, rows, separator), "Ann")
    assert (done.changed, done.same, done.absent, done.refused) == (2, 2, 1, ())
    expected = {"a": ("Anna's dog.", "edited"), "b;\n": ("A b;\n.", "rejected"), "c": ("A c.", None)}
    assert caption_and_status(library) == {**expected, "d": ("A d.", None)}
    again = take_back(library, save(library, rows, separator), "Ann")
    assert (again.refused, caption_and_status(library)["a"]) == ((), ("Anna's dog.", "edited"))
    assert not find_faults(library)


def test_a_text_that_is_accepted_in_a_table_has_no_words_of_the_model(keep: Keep, library: Path) -> None:
    path = library.parent / "a.jpg"
    keep({path: make_kept(path, "A dog.", words=(("a", -1.0, None),))}, overwrite=True)
    rows = export(library)
    rows[0]["caption"], rows[0]["status"] = "Anna's dog.", "accepted"
    take_back(library, save(library, rows), "Ann")
    (result,) = (stored for stored in read_results(library) if stored.path == path)
    assert (result.captions, result.status, result.words) == (("Anna's dog.",), "accepted", None)


def test_a_row_that_nobody_edited_takes_back_no_later_change(library: Path) -> None:
    rows = export(library)
    change(library, "a", "Bob's text.")
    done = take_back(library, save(library, rows), "Ann")
    assert (done.changed, done.same, done.refused) == (0, 4, ())
    assert caption_and_status(library)["a"] == ("Bob's text.", "edited")


def test_conflicts_are_named_and_both_texts_are_kept(library: Path) -> None:
    rows = export(library)
    change(library, "a", "Bob's text.")
    change(library, "c", "The same text.")
    rows[0]["caption"], rows[2]["caption"] = "Ann's text.", "The same text."
    done = take_back(library, save(library, rows), "Ann")
    assert (done.changed, done.same, len(done.refused)) == (0, 3, 1)
    assert all(part in done.refused[0] for part in ("line 2", "a.jpg", "Bob's text.", "Ann's text."))
    assert caption_and_status(library)["a"] == ("Bob's text.", "edited")
    with reading(library) as connection:
        (kept,) = connection.execute("SELECT new FROM history WHERE field = 'untaken'").fetchone()
    assert kept == "Ann's text."


def test_what_cannot_be_taken_is_named_and_the_rest_is_taken(library: Path) -> None:
    a, b, c, d = export(library)
    a["caption"], b["caption"], c["status"] = "Anna's dog.", " ", "fine"
    d["caption"], other = "One.", {**d, "caption": "Two."}
    strange = {**d, "path": "/nowhere.jpg"}
    done = take_back(library, save(library, [a, b, c, d, other, strange]), "Ann")
    assert (done.changed, len(done.refused)) == (1, 4)
    assert caption_and_status(library)["a"] == ("Anna's dog.", "edited")
    assert [caption_and_status(library)[name] for name in ("c", "d")] == [("A c.", None), ("A d.", None)]


def test_other_line_ends_are_no_edit(library: Path) -> None:
    rows = export(library)
    for row in rows:
        row["caption"], row["path"] = (row[name].replace("\n", "\r\n") for name in ("caption", "path"))
    assert take_back(library, save(library, rows), "Ann") == Returned(0, 4, 0, ())
    b = rows[1]
    b["status"] = "accepted"
    assert take_back(library, save(library, rows), "Ann").changed == 1
    assert caption_and_status(library)["b;\n"] == ("A b;\n.", "accepted")
    b["caption"], b["version"] = "One\r\ntwo.", "1"
    assert take_back(library, save(library, rows), "Ann") == Returned(1, 3, 0, ())
    assert caption_and_status(library)["b;\n"] == ("One\ntwo.", "edited")


def test_rows_that_lack_a_field_are_refused(library: Path) -> None:
    table = library.with_name("rows.jsonl")
    first, second = export(library)[:2]
    del second["status"]
    table.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    with pytest.raises(DatasetError, match="lacks a column"):
        take_back(library, table, "Ann")


@pytest.mark.skipif(os.sep == "\\", reason="names are no bytes there")
def test_the_export_of_a_name_that_is_no_utf_8_is_taken_back(keep: Keep, tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"\xff.jpg")
    picture.touch()
    keep({picture: make_kept(picture, "A dog.")})
    (result,) = read_results(tmp_path / "photos.db")
    form, table = Csv(with_review=True), tmp_path / "captions.csv"
    table.write_bytes((form.begin + (form.encode(result) or b"")).replace(b"A dog.", b"A cat."))
    assert take_back(tmp_path / "photos.db", table, "Ann").changed == 1
    assert [(result.path, result.captions) for result in read_results(tmp_path / "photos.db")] == [
        (picture, ("A cat.",))
    ]


def test_a_table_without_versions_is_refused(library: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "version"} for row in export(library)]
    with pytest.raises(DatasetError, match="lacks a column"):
        take_back(library, save(library, rows), "Ann")
