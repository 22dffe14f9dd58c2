"""Rows of every format as pictures that are to have captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kept_results import make_kept

from capcli.errors import DatasetError
from capcli.keywords.keyword import Keyword
from capcli.library.keeping import LibraryFile
from capcli.metadata.described import read_described
from capcli.output import Result
from capcli.output.formats.registry import FORMATS

RESULTS = [
    Result(Path("a\tb.jpg"), ('A "dog", running.',), (0.75,), "base"),
    Result(Path("c.jpg"), error="is empty (0 bytes)"),
    Result(Path("d.jpg"), ("A cat.", "A cat sleeps."), (0.25, 0.2), "base", uncertain=True),
]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_every_format_are_read(tmp_path: Path, name: str) -> None:
    form = FORMATS[name]()
    rows = [row for result in RESULTS if (row := form.encode(result)) is not None]
    file = tmp_path / f"rows.{'json' if name == 'coco' else 'txt' if name == 'text' else name}"
    file.write_bytes(form.begin + form.between.join(rows) + form.end)
    read = read_described(file)
    assert [(described.path, described.caption, described.uncertain) for described in read] == [
        (Path("a\tb.jpg"), 'A "dog", running.', False),
        (Path("d.jpg"), "A cat.", True),
    ]
    assert [described.confidence for described in read] == ([None, None] if name in ("text", "tsv") else [0.75, 0.25])


def test_rows_of_text_have_their_keywords(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text(
        "a.jpg\tA dog.\tA puppy.\t[keywords] dog, tall grass\nb.jpg\tA cat.\nc.jpg\t[keywords] dog\n"
    )
    read = read_described(tmp_path / "rows.tsv")
    assert [[keyword.word for keyword in described.keywords] for described in read] == [["dog", "tall grass"], [], []]
    assert [described.caption for described in read] == ["A dog.", "A cat.", "[keywords] dog"]


def test_a_library_tells_captions_keywords_and_what_the_files_were(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("a")
    words = (Keyword("cat", 0.9, ("things", "animal", "cat"), ("animal",)), Keyword("sofa", 0.5))
    with LibraryFile(tmp_path / "photos.db") as library:
        library.write(make_kept(tmp_path / "a.jpg", "A cat.", keywords=words))
        library.write(Result(tmp_path / "b.jpg", error="is empty (0 bytes)"))
    (described,) = read_described(tmp_path / "photos.db")
    assert (described.path, described.caption, described.confidence) == (tmp_path / "a.jpg", "A cat.", 0.5)
    assert described.keywords == words
    assert (described.size, described.modified) == (1, pytest.approx((tmp_path / "a.jpg").stat().st_mtime))


def write(file: Path, *rows: dict[str, object]) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.mark.parametrize(
    ("words", "parents"),
    [
        (["dog", "animal | cat", "dog", " "], ()),
        ([{"word": "dog"}, {"word": "cat", "path": ["animal", "cat"]}], ()),
        ([{"word": "dog"}, {"word": "cat", "path": ["animal", "cat"], "parents": ["animal"]}], ("animal",)),
    ],
)
def test_a_row_may_have_keywords_and_what_the_file_was(
    tmp_path: Path, words: list[object], parents: tuple[str, ...]
) -> None:
    row = {"path": "a.jpg", "caption": "A dog.", "keywords": words, "size": 12, "mtime": 1.5}
    (described,) = read_described(write(tmp_path / "rows.jsonl", row))
    assert described.keywords == (Keyword("dog", 1.0, ("dog",)), Keyword("cat", 1.0, ("animal", "cat"), parents))
    assert (described.size, described.modified) == (12, 1.5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"path": "a.jpg", "error": "is empty"}], "holds no captions"),
        ([{"path": "a.jpg", "caption": " "}], "line 1: has no caption"),
        ([{"image_id": 7, "caption": "A dog."}], "line 1: names no file"),
        ([{"path": "a.jpg", "caption": "A dog.", "keywords": [1]}], "line 1: its keywords are no list of texts"),
        ([{"path": "a.jpg", "caption": "A dog.", "keywords": [{"word": "a", "parents": "b"}]}], "line 1: its keywords"),
        ([{"path": "a.jpg", "caption": "A dog.", "size": "big"}], "line 1: its size is 'big', not a number"),
        ([{"path": "a.jpg", "caption": "A dog."}, {"path": "./a.jpg", "caption": "A cat."}], "line 2: a.jpg has"),
    ],
)
def test_rows_that_say_nothing_sure_are_refused(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_described(write(tmp_path / "rows.jsonl", *rows))
