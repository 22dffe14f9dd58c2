from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.errors import DatasetError
from capcli.evaluation.predictions import Prediction, read_predictions
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


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "coco"])
def test_what_capcli_writes_is_read_back(tmp_path: Path, form: str) -> None:
    encode = FORMATS[form]()
    results = [
        Result(Path("a/x, y.jpg"), ('A "dog".',), (0.25,), "base"),
        Result(Path("b.jpg"), error="is empty (0 bytes)"),
    ]
    rows = [row for result in results if (row := encode.encode(result)) is not None]
    file = tmp_path / f"rows.{'json' if form == 'coco' else form}"
    file.write_bytes(encode.begin + encode.between.join(rows) + encode.end)
    good, *failed = read_predictions(file)
    assert (good.names[-1], good.caption, good.confidence, good.model) == (
        str(Path("a/x, y.jpg")),
        'A "dog".',
        0.25,
        "base",
    )
    assert [(row.caption, row.error) for row in failed] == ([] if form == "coco" else [(None, "is empty (0 bytes)")])


def test_an_empty_caption_is_a_caption(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image,caption\na.jpg,\nb.jpg, \n")
    assert [row.caption for row in read_predictions(tmp_path / "rows.csv")] == ["", ""]


def test_a_single_row_is_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"path": "a.jpg", "caption": "x"}')
    assert [(row.names, row.caption) for row in read_predictions(tmp_path / "rows.json")] == [(("a.jpg",), "x")]


@pytest.mark.parametrize(
    ("name", "text", "told"),
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
        ("absent.csv", None, "absent.csv: No such file"),
    ],
)
def test_what_is_broken_is_told_with_its_line(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_predictions(tmp_path / name)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.tuples(st.text(), st.text(min_size=1).filter(str.strip)), min_size=1))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text("".join(json.dumps({"image": image, "caption": text}) + "\n" for text, image in rows))
    read: list[Prediction] = read_predictions(file)
    assert [(row.names, row.caption) for row in read] == [
        ((image.strip(),), text if text.strip() else "") for text, image in rows
    ]
