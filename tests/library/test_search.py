"""Which pictures a search finds, and in which order."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_results import make_kept

from capcli.errors import CapcliError, UsageError
from capcli.keywords.keyword import Keyword
from capcli.library import database
from capcli.library.options import SearchOptions
from capcli.library.search import WORDS, K, Query, find_unknown, search, split_query

DOG, CAT = np.array([1, 0, 0], np.float32), np.array([0, 1, 0], np.float32)
PICTURES = {
    "a/dog.jpg": ("A dog runs on a beach.", DOG, "2019-07-04T12:30:05", 0.9),
    "a/puppy.jpg": ("A small animal.", (0.8, 0.6, 0), "2020-01-01T00:00:00", 0.5),
    "b/cat.jpg": ("A cat on a dog's bed.", CAT, None, 0.4),
    "b/car.jpg": ("A red car.", (0, 0, 1), "2019-12-31T23:59:59", 0.8),
    "b/anna.jpg": ("Dogs and Anna.", None, None, 0.7),
}


@pytest.fixture
def library(keep: Callable[..., Any], tmp_path: Path) -> Path:
    results = {}
    for name, (caption, vector, taken, confidence) in PICTURES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        results[path] = make_kept(path, caption, vector, taken=taken, confidences=(confidence,))
    keep(results)
    return tmp_path / "photos.db"


def names(library: Path, query: Query, **options: Any) -> list[str]:
    hits = search(library, query, SearchOptions(**options)).hits
    return [str(hit.path.relative_to(library.parent)) for hit in hits]


BOTH = Query(("dog",), DOG, (1,))


def test_ranks_of_pixels_and_words_are_fused(library: Path) -> None:
    hits = {hit.path.stem: hit for hit in search(library, BOTH, SearchOptions(min_score=-1)).hits}
    assert [hits["dog"].score, hits["puppy"].score] == pytest.approx([1, 0.8], abs=1e-3)
    assert hits["anna"].score is None
    assert hits["puppy"].words is None
    by_words = sorted(("dog", "cat", "anna"), key=lambda name: -(hits[name].words or 0))
    ranks = {name: [WORDS / (K + by_words.index(name) + 1)] for name in by_words}
    ranks["dog"].append(1 / (K + 1))
    assert hits["dog"].fused == pytest.approx(sum(ranks["dog"]))
    assert hits["puppy"].fused == pytest.approx(1 / (K + 2))
    assert next(iter(hits)) == "dog"


def test_what_lies_below_the_floor_is_not_found_unless_its_caption_has_all_words(library: Path) -> None:
    assert set(names(library, BOTH)) == {"a/dog.jpg", "a/puppy.jpg", "b/anna.jpg", "b/cat.jpg"}
    assert set(names(library, Query(("dog", "beach"), DOG, (1,)))) == {"a/dog.jpg", "a/puppy.jpg"}
    assert names(library, Query(("dog", "beach"), DOG, (1,)), min_score=0.9) == ["a/dog.jpg"]
    assert names(library, Query(("zebra",), -DOG, (1,))) == []


def test_without_vectors_words_alone_are_searched(library: Path) -> None:
    assert set(names(library, Query(("dogs",)))) == {"a/dog.jpg", "b/cat.jpg", "b/anna.jpg"}
    assert names(library, Query(("zebra",))) == []


def test_words_of_keywords_and_of_the_levels_above_them_are_searched(keep: Callable[..., Any], tmp_path: Path) -> None:
    keywords = {"one.jpg": (Keyword("puppy", 0.9, ("animal", "puppy"), ("animal",)),), "two.jpg": (), "three.jpg": None}
    for name in keywords:
        (tmp_path / name).write_text(name)
    keep({tmp_path / name: make_kept(tmp_path / name, "A lawn.", keywords=words) for name, words in keywords.items()})
    for word in ("puppies", "animal"):
        assert names(tmp_path / "photos.db", Query((word,))) == ["one.jpg"]


def test_a_picture_alone_has_no_floor(library: Path) -> None:
    assert names(library, Query((), DOG, (1,)), top=2) == ["a/dog.jpg", "a/puppy.jpg"]


def test_what_is_not_wanted_is_left_out(library: Path) -> None:
    assert "b/cat.jpg" not in names(library, Query(("dog",), DOG, (1,), (), CAT))
    assert names(library, Query(("dog",), without_words=("anna",)), min_confidence=0.5) == ["a/dog.jpg"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"since": "2019-07-04", "until": "2019"}, {"a/dog.jpg", "b/car.jpg"}),
        ({"since": "2019-07-04T12:30:06"}, {"a/puppy.jpg", "b/car.jpg"}),
        ({"until": "2019-07"}, {"a/dog.jpg"}),
        ({"folder": "b"}, {"b/cat.jpg", "b/car.jpg"}),
        ({"min_confidence": 0.8}, {"a/dog.jpg", "b/car.jpg"}),
    ],
)
def test_options_choose_among_pictures(
    library: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: set[str]
) -> None:
    monkeypatch.chdir(library.parent)
    options = {name: Path(value) if name == "folder" else value for name, value in options.items()}
    everything = Query((), np.full(3, 0.57, np.float32), (1,))
    assert set(names(library, everything, **options)) == expected


def test_words_of_a_picture_that_is_not_there_are_said_in_one_line(library: Path) -> None:
    with sqlite3.connect(library) as connection:
        connection.execute("INSERT INTO words_of (rowid, caption) VALUES (5000, 'zebra')")
    with pytest.raises(CapcliError, match=r"photos.db: an index does not fit the pictures; `capcli library check`"):
        names(library, Query(("zebra",)))


def test_a_missing_file_is_not_found(keep: Callable[..., Any], library: Path) -> None:
    (library.parent / "a/dog.jpg").unlink()
    keep({}, resume=True)
    assert names(library, BOTH)[0] == "a/puppy.jpg"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everything")
def test_a_library_on_a_disk_that_takes_no_writes_is_read(library: Path) -> None:
    library.chmod(0o444)
    library.parent.chmod(0o555)
    try:
        assert names(library, BOTH)[0] == "a/dog.jpg"
    finally:
        library.parent.chmod(0o755)


def test_the_file_is_mapped_for_a_search_alone_and_not_on_a_network_drive(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mapped(*, wished: bool) -> int:
        with database.reading(library, mapped=wished) as connection:
            (size,) = connection.execute("PRAGMA mmap_size").fetchone() or (0,)
            return int(size)

    if mapped(wished=True) == 0:
        pytest.skip("this SQLite maps no files")
    found = names(library, BOTH)
    assert mapped(wished=False) == 0
    monkeypatch.setattr(database, "network_of", lambda path: "nfs4")
    assert mapped(wished=True) == 0
    assert names(library, BOTH) == found


def test_words_that_say_nothing_do_not_count() -> None:
    assert split_query("Two dogs on the BEACH, on a beach") == ("two", "dogs", "beach")
    assert split_query("what is it, who") == ("what",)
    assert split_query("the who") == ("the", "who")


def test_unknown_words_are_told_apart_in_any_form(library: Path) -> None:
    assert find_unknown(library, ["dog", "dogs", "running", "zebra", 'a"b']) == ["zebra", 'a"b']


@pytest.mark.parametrize(
    "moment",
    [
        *(
            "0000",
            "2019-00",
            "2019-13",
            "2019-99-99",
            "2020-02-31",
            "2019-02-29",
            "2019-07-04T25:99",
            "2019-07-04 12:60",
        ),
        *("2019-07-04T12:30:61", "\u0662\u0660\u0661\u0669", "2019-07-\u0660\u0664", "2019-07-04\n", "-2019", ""),
    ],
)
def test_moments_that_the_calendar_lacks_are_refused(moment: str) -> None:
    for name in ("since", "until"):
        with pytest.raises(UsageError, match=f"^--{name} .* is no date; name one such as 2019,"):
            SearchOptions(**{name: moment})


@pytest.mark.parametrize("moment", ["2019", "2019-07", "2020-02-29", "2019-07-04T23:59", "2019-07-04 12:30:59"])
def test_moments_of_the_calendar_are_taken(moment: str) -> None:
    assert SearchOptions(since=moment, until=moment).since == moment


@pytest.mark.parametrize(
    ("since", "until"), [("2020", "2019"), ("2019-07-04", "2019-07-03"), ("2019-07-04 12:31", "2019-07-04T12:30")]
)
def test_no_picture_is_taken_after_the_last_moment(since: str, until: str) -> None:
    with pytest.raises(UsageError, match=f"^--since {since} is later than --until {until}; no picture can be both$"):
        SearchOptions(since=since, until=until)


@pytest.mark.parametrize("options", [{"since": "yesterday"}, {"until": "2019-7"}, {"top": 0}, {"min_score": 2.0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SearchOptions(**options)
