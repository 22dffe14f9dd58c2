from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept_results import make_kept

from capcli.errors import DatasetError
from capcli.evaluation.predictions import Prediction, read_predictions
from capcli.library.keeping import LibraryFile
from capcli.output import Result
from capcli.output.formats.registry import FORMATS

ROWS = [{"image_id": 7, "caption": "A dog."}, {"image_id": 8, "caption": "A  cat.\n"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("rows.json", json.dumps(ROWS)),
        ("rows", json.dumps(ROWS, indent=1)),
        ("rows.txt", "\n".join(map(json.dumps, ROWS))),
        ("rows.csv", 'image_id,caption\n7,A dog.\n8,"A  cat.\n"\n'),
        ("rows.csv", '\ufeffCaption, Image_ID\nA dog.,7\n"A  cat.\n",8\n'),
        ("rows.csv", '\ufeffsep=;\r\nimage_id;caption\r\n7;A dog.\r\n8;"A  cat.\n"\r\n'),
        ("rows.tsv", 'image_id\tcaption\n7\tA dog.\n8\t"A  cat.\n"\n'),
        ("rows.txt", 'image_id;caption\n7;A dog.\n8;"A  cat.\n"\n'),
        ("rows", 'image_id,caption\n7,A dog.\n8,"A  cat.\n"\n'),
        ("rows.json", json.dumps({row["image_id"]: row["caption"] for row in ROWS})),
        ("rows.json", json.dumps({row["image_id"]: [row["caption"]] for row in ROWS}, indent=1)),
        ("rows", json.dumps({row["image_id"]: row["caption"] for row in ROWS}, indent=1)),
    ],
)
def test_each_format_gives_names_and_captions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert [(row.names, row.caption) for row in read_predictions(tmp_path / name)] == [
        (("7",), "A dog."),
        (("8",), "A  cat.\n"),
    ]


@pytest.mark.parametrize(
    ("form", "ending"),
    [("csv", "csv"), ("json", "json"), ("jsonl", "jsonl"), ("coco", "json"), ("tsv", "tsv"), ("text", "txt")],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=str)
def test_what_capcli_writes_is_read_back(tmp_path: Path, form: str, ending: str, mark: bytes, newline: bytes) -> None:
    encode = FORMATS[form]()
    results = [
        Result(Path("a/x, y.jpg"), ('A "dog".', "A hound."), (0.25, 0.125), "base"),
        Result(Path("c.jpg"), ("A cat.",), (0.125,), "base", uncertain=True),
        Result(Path("b.jpg"), error="is empty (0 bytes)"),
    ]
    rows = [row for result in results if (row := encode.encode(result)) is not None]
    content = encode.begin + encode.between.join(rows) + encode.end
    file = tmp_path / f"rows.{ending}"
    file.write_bytes(mark + content.replace(b"\n", newline))
    good, unsure, *failed = read_predictions(file)
    structured = form not in ("tsv", "text")
    assert (good.names[-1], good.caption) == (str(Path("a/x, y.jpg")), 'A "dog".')
    assert (unsure.names[-1], unsure.caption) == ("c.jpg", "A cat.")
    assert (good.confidence, good.model) == ((0.25, "base") if structured else (None, None))
    accounted = structured and form != "coco"
    assert [(row.caption, row.error) for row in failed] == ([(None, "is empty (0 bytes)")] if accounted else [])


def test_a_library_is_read_as_other_rows_are(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with LibraryFile(tmp_path / "photos.db") as library:
        library.write(make_kept(tmp_path / "a.jpg", "A cat."))
        library.write(Result(tmp_path / "b.jpg", error="is empty (0 bytes)"))
    where = f"{tmp_path / 'photos.db'}, row"
    assert read_predictions(tmp_path / "photos.db") == [
        Prediction((str(tmp_path / "a.jpg"),), "A cat.", f"{where} 1", 0.5, "fake"),
        Prediction((str(tmp_path / "b.jpg"),), None, f"{where} 2", error="is empty (0 bytes)"),
    ]


@pytest.mark.skipif(os.sep == "\\", reason="names have no control characters there")
@pytest.mark.parametrize("name", ["a\tb.jpg", "a\\b.jpg", "\x1b[31m.jpg", "a\nb.jpg"], ids=repr)
def test_names_come_back_from_rows_of_text(tmp_path: Path, name: str) -> None:
    row = FORMATS["tsv"]().encode(Result(Path(name), ("A dog.",), (0.5,), "base"))
    assert row
    (tmp_path / "rows.tsv").write_bytes(row)
    assert [row.names for row in read_predictions(tmp_path / "rows.tsv")] == [(name,)]


@pytest.mark.skipif(os.sep == "\\", reason="names are no bytes there")
@pytest.mark.parametrize("form", FORMATS)
def test_a_name_that_is_no_utf_8_comes_back_from_every_format(tmp_path: Path, form: str) -> None:
    name, encode = os.fsdecode(b"bad\xff.jpg"), FORMATS[form]()
    rows = [encode.encode(Result(Path(path), ("A dog.",), (0.5,), "base")) or b"" for path in ("a.jpg", name)]
    file = tmp_path / f"rows.{'json' if form == 'coco' else 'txt' if form == 'text' else form}"
    file.write_bytes(encode.begin + encode.between.join(rows) + encode.end)
    assert [row.names[-1] for row in read_predictions(file)] == ["a.jpg", name]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.csv", "path,caption\na.jpg,A dog.\nb.jpg,A café.\n", "rows.csv, line 3: not UTF-8 text"),
        ("rows.csv", "path,caption,Länge\na.jpg,A dog.,1\n", "rows.csv, line 1: not UTF-8 text"),
        ("rows.tsv", "a.jpg\tA dog.\tA café.\n", "rows.tsv, line 1: not UTF-8 text"),
        ("rows.json", '[\n{"image": "é", "caption": "x"}]', "rows.json, line 2: not UTF-8 text"),
    ],
)
def test_text_in_another_encoding_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=message):
        read_predictions(tmp_path / name)


def test_a_row_of_text_may_have_an_empty_caption(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("a.jpg\t\nb.jpg\tA cat.\n")
    assert [row.caption for row in read_predictions(tmp_path / "rows.tsv")] == ["", "A cat."]


def test_a_spreadsheet_s_decimal_comma_is_a_confidence(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image;caption;confidence\na.jpg;A dog.;0,25\nb.jpg;A cat.;0.5\n")
    assert [row.confidence for row in read_predictions(tmp_path / "rows.csv")] == [0.25, 0.5]


def test_an_empty_caption_is_a_caption(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image,caption\na.jpg,\nb.jpg, \n")
    assert [row.caption for row in read_predictions(tmp_path / "rows.csv")] == ["", ""]


def test_a_single_row_is_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"path": "a.jpg", "caption": "x"}')
    assert [(row.names, row.caption) for row in read_predictions(tmp_path / "rows.json")] == [(("a.jpg",), "x")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", '{"image": "a", "caption": "x"}\n{"image": ', "p.jsonl, line 2: broken JSON"),
        ("p.json", '[\n{"image": "a"\n"caption": "x"}]', "p.json, line 3: broken JSON"),
        ("p.jsonl", '{"caption": "x"}', "p.jsonl, line 1: names no image"),
        ("p.jsonl", '{"image": true, "caption": "x"}', "p.jsonl, line 1: names no image"),
        ("p.json", '[{"image": "a"}]', "p.json, entry 1: has no caption"),
        ("p.json", '[{"image": "a", "caption": ["x"]}]', "p.json, entry 1: its caption is no text"),
        ("p.json", '["x"]', "p.json, entry 1: not a JSON object"),
        ("p.jsonl", '{"image": "a", "caption": "x", "confidence": 2}', "line 1: its confidence is 2, not a number"),
        ("p.jsonl", '{"image": "a", "caption": "x", "confidence": %s}' % ("7" * 400), "line 1: its confidence is 777"),
        ("p.json", '{"a": ["x", "y"]}', "p.json, entry 1: has no caption"),
        ("p.json", '{"a": "x", "a": "y"}', "p.json: a is there twice"),
        ("p.json", '[{"image_id": %s}]' % ("7" * 5000), "p.json, line 1 or after: a number has too many digits"),
        ("p.csv", "image,caption\na,b,c\n", "p.csv, line 2: more fields than the header"),
        ("p.csv", "image,caption\na\n", "p.csv, line 2: fewer fields than the header"),
        ("p.csv", 'image,caption\na,"b\n', "p.csv, line 2: broken CSV"),
        ("p.csv", "caption\na\n", "p.csv, line 1: the header names no image column"),
        ("p.jsonl", "", "p.jsonl: holds no predictions"),
        ("p.txt", "A dog runs.\n", "p.txt, line 1: not of the form path<TAB>caption"),
        ("p.tsv", "a.jpg\tA dog.\nA cat.\n", "p.tsv, line 2: not of the form path<TAB>caption"),
        ("p.csv", "a;b\n", "columns are separated by commas, semicolons, tabs or bars"),
        ("p.csv", "image;caption;confidence\na;b;1,5\n", "line 2: its confidence is '1,5', not a number from 0 to 1"),
        ("absent.csv", None, "absent.csv: no such file or directory"),
    ],
)
def test_what_is_broken_is_told_with_its_line(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_predictions(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.tuples(st.text(), st.text(min_size=1).filter(str.strip)), min_size=1))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text("".join(json.dumps({"image": image, "caption": text}) + "\n" for text, image in rows))
    read: list[Prediction] = read_predictions(file)
    assert [(row.names, row.caption) for row in read] == [
        ((image.strip(),), text if text.strip() else "") for text, image in rows
    ]
