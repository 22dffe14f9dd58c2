from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from capcli.output import Result
from capcli.output.jsonl import JsonLinesWriter


def written(*results: Result) -> bytes:
    stream = io.BytesIO()
    writer = JsonLinesWriter(stream)
    for result in results:
        writer.write(result)
    return stream.getvalue()


def test_one_object_per_line_errors_included() -> None:
    output = written(Result(Path("a.jpg"), "a dog", 0.25, "base"), Result(Path("b.jpg"), error="is empty"))
    assert [json.loads(line) for line in output.splitlines()] == [
        {"path": "a.jpg", "caption": "a dog", "confidence": 0.25, "model": "base"},
        {"path": "b.jpg", "error": "is empty"},
    ]


def test_zero_confidence_and_an_empty_caption_are_kept() -> None:
    assert json.loads(written(Result(Path("a.jpg"), "", 0.0, "base"))) == {
        "path": "a.jpg",
        "caption": "",
        "confidence": 0.0,
        "model": "base",
    }


def test_ordinary_unicode_stays_readable() -> None:
    assert "дом.jpg".encode() in written(Result(Path("дом.jpg"), "a house", 0.5, "base"))


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"\xff\xfe", b'tab\t "quote" \\ \n.jpg', "\u2028é".encode()])
def test_every_name_reads_back_as_it_was(name: bytes) -> None:
    output = written(Result(Path(os.fsdecode(name)), "a dog", 0.5, "base"))
    assert output.count(b"\n") == 1
    assert os.fsencode(json.loads(output.decode("utf-8"))["path"]) == name
