"""What rows look like, and that every name comes back from them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from sample_results import CAPTIONED, FAILED, NAMES, TAGGED, UNCERTAIN

from capcli.files.names import escape, unescape
from capcli.files.text_row import read_text_row
from capcli.output import Result, State
from capcli.output.formats.contract import Format
from capcli.output.formats.csv import COLUMNS, Csv
from capcli.output.formats.json import Coco, JsonArray, JsonLines
from capcli.output.formats.registry import FORMATS
from capcli.output.formats.text import Sentences, Text
from capcli.output.rows import RowStream


def written(form: Format, *results: Result) -> bytes:
    stream = io.BytesIO()
    with RowStream(stream, form) as rows:
        for result in results:
            rows.write(result)
    return stream.getvalue()


def test_text_is_a_path_a_tab_and_the_captions() -> None:
    assert written(Text(), CAPTIONED, FAILED, UNCERTAIN).decode() == (
        'a.jpg\tA dog runs.\tA dog.\nb.jpg\t[uncertain] A, "cat".\n'
    )


def test_half_a_character_of_a_caption_is_replaced() -> None:
    odd = Result(Path("a.jpg"), captions=("a thing \ud83d",))
    assert written(Text(), odd) == b"a.jpg\ta thing ?\n"
    assert written(Sentences(), odd) == b"a thing ?\n"


def test_sentences_are_the_captions_alone() -> None:
    assert written(Sentences(), CAPTIONED, FAILED).decode() == "A dog runs.\nA dog.\n"


def test_json_lines_account_for_captions_and_errors() -> None:
    first, second, third = map(json.loads, written(JsonLines(), CAPTIONED, UNCERTAIN, FAILED).splitlines())
    assert first == {
        "path": "a.jpg",
        "caption": "A dog runs.",
        "captions": ["A dog runs.", "A dog."],
        "confidence": 0.5,
        "model": "base",
        "confidences": [0.5, 0.25],
    }
    assert second["uncertain"] is True
    assert second["words"] == [
        {"word": "a", "log_probability": -0.5},
        {"word": "cat", "log_probability": -1.5, "sentinel": 0.25},
    ]
    assert "confidences" not in second
    assert third == {"path": "c.jpg", "error": "is empty (0 bytes)"}


@pytest.mark.parametrize("results", [(), (CAPTIONED,), (CAPTIONED, FAILED, UNCERTAIN)])
def test_json_is_one_array_of_the_same_rows(results: tuple[Result, ...]) -> None:
    lines = [json.loads(line) for line in written(JsonLines(), *results).splitlines()]
    assert json.loads(written(JsonArray(), *results)) == lines


def test_coco_results_carry_the_number_of_coco_s_pictures() -> None:
    coco = Result(Path("val2014/COCO_val2014_000000391895.jpg"), ("A man.",), (0.5,), "base")
    other = Result(Path("IMG_0001.jpg"), ("A man.",), (0.5,), "base")
    rows = json.loads(written(Coco(), coco, FAILED, other))
    assert [(row["image_id"], row["caption"]) for row in rows] == [(391895, "A man."), ("IMG_0001.jpg", "A man.")]


def test_csv_has_a_record_for_every_result() -> None:
    rows = list(csv.DictReader(io.StringIO(written(Csv(), CAPTIONED, UNCERTAIN, FAILED).decode(), newline="")))
    assert [row["caption"] for row in rows] == ["A dog runs.", 'A, "cat".', ""]
    assert [row["error"] for row in rows] == ["", "", "is empty (0 bytes)"]
    assert json.loads(rows[0]["captions"]) == ["A dog runs.", "A dog."]
    assert json.loads(rows[1]["words"])[1] == {"word": "cat", "log_probability": -1.5, "sentinel": 0.25}
    assert [row["uncertain"] for row in rows] == ["", "true", ""]
    assert tuple(rows[0]) == COLUMNS


@pytest.mark.parametrize("form", [Text, Csv, JsonLines, JsonArray, Coco])
@given(name=NAMES)
def test_every_name_comes_back_from_its_row(form: type[Format], name: str) -> None:
    row = form().encode(Result(Path(name), ("A dog.",), (0.5,), "base"))
    assert row is not None
    assert form().decode(row) == (Path(name), State.CAPTIONED)


@given(name=NAMES)
def test_escaped_names_are_one_line_and_come_back(name: str) -> None:
    escaped = escape(name)
    assert escaped.isprintable() or not set(escaped) & {chr(code) for code in (*range(32), *range(127, 160))}
    assert unescape(escaped) == Path(name)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
@pytest.mark.parametrize("form", [Text, Csv])
def test_undecodable_bytes_of_a_name_are_written_as_they_are(form: type[Format]) -> None:
    row = form().encode(Result(Path(os.fsdecode(b"caf\xe9.jpg")), ("A dog.",), (0.5,), "base"))
    assert row is not None
    assert b"caf\xe9.jpg" in row


@pytest.mark.parametrize("form", [JsonLines, JsonArray, Coco])
def test_json_with_an_undecodable_name_is_utf_8(form: type[Format]) -> None:
    row = form().encode(Result(Path(os.fsdecode(b"caf\xe9.jpg")), ("A café.",), (0.5,), "base"))
    assert row is not None
    assert "A café." in row.decode()
    assert json.loads(row)["path"] == os.fsdecode(b"caf\xe9.jpg")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("row", [b"\n", b"hello\n", b'{"a": 1}\n', b"[1]\n", b"\xff\xfe\n", b'"open\n'])
def test_foreign_rows_are_told_from_one_s_own(name: str, row: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FORMATS[name]().decode(row)


def test_keywords_stand_behind_captions_of_text_and_are_none_of_them() -> None:
    assert written(Text(), TAGGED) == b"d.jpg\tA dog.\t[keywords] dog, sea\n"
    assert written(Sentences(), TAGGED) == b"A dog.\n[keywords] dog, sea\n"
    assert read_text_row("d.jpg\tA dog.\t[keywords] dog, sea").captions == ("A dog.",)
    assert read_text_row("d.jpg\t[keywords] dog").captions == ("[keywords] dog",)


def test_keywords_in_json_have_their_probability_and_levels() -> None:
    dog = {"word": "dog", "probability": 0.9123, "path": ["animals", "dog"], "parents": ["animals"]}
    expected = [dog, {"word": "sea", "probability": 0.5}]
    assert json.loads(written(JsonLines(), TAGGED))["keywords"] == expected
    assert "keywords" not in json.loads(written(JsonLines(), CAPTIONED))
    none = dataclasses.replace(TAGGED, keywords=())
    assert json.loads(written(JsonLines(), none))["keywords"] == []


def test_a_table_has_a_column_of_keywords_where_they_are_asked_for() -> None:
    form = Csv(with_keywords=True)
    header, row = csv.reader(io.StringIO(written(form, TAGGED).decode()))
    assert header == [*COLUMNS, "keywords"] and json.loads(row[-1])[0]["word"] == "dog"
    assert form.decode(form.encode(TAGGED) or b"") == (Path("d.jpg"), State.CAPTIONED)
    assert next(csv.reader(io.StringIO(written(Csv(), CAPTIONED).decode()))) == list(COLUMNS)
