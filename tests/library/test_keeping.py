"""What a library keeps: rows of results, and what becomes of them when files move, change and go."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import file_size_limit
from hypothesis import given
from hypothesis import strategies as st
from kept_results import make_kept
from sample_results import NAMES

from capcli.errors import CapcliError, UsageError
from capcli.keywords.keyword import Keyword
from capcli.library import database
from capcli.library.contents import count_all, find_faults, read_results
from capcli.library.keeping import LibraryFile
from capcli.library.review import read_window
from capcli.output import Result

Keep = Callable[..., list[Path]]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return tmp_path / "photos.db"


def captions(library: Path) -> dict[str, str | None]:
    return {result.path.name: result.captions[0] if result.captions else None for result in read_results(library)}


def history(library: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(library) as connection:
        return connection.execute("SELECT field, old, new FROM history ORDER BY id").fetchall()


def edit(library: Path, picture: Path, text: str) -> None:
    with sqlite3.connect(library) as connection:
        connection.execute("UPDATE picture SET caption = ? WHERE path = ?", (text, str(picture)))


RESULTS = st.builds(
    lambda name, texts, uncertain, words, keywords: Result(
        Path("/photos") / name,
        tuple(texts),
        tuple(1 / (place + 2) for place in range(len(texts))),
        "base",
        uncertain,
        words,
        keywords,
    ),
    NAMES,
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3),
    st.booleans(),
    st.none() | st.just((("a", -0.5, None), ("cat", -1.5, 0.25))),
    st.none() | st.just((Keyword("cat", 0.75, ("animal", "cat"), ("animal",)), Keyword("sofa", 0.5))) | st.just(()),
) | st.builds(lambda name: Result(Path("/photos") / name, error="is empty (0 bytes)"), NAMES)


@pytest.mark.slow
@given(st.lists(RESULTS, unique_by=lambda result: result.path, max_size=4))
def test_results_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, results: list[Result]) -> None:
    library = tmp_path_factory.mktemp("one") / "photos.db"
    with LibraryFile(library) as kept:
        for result in results:
            kept.write(result)
            assert kept.state(result.path) == result.state
    assert list(read_results(library)) == results
    assert not find_faults(library)


def test_a_later_run_takes_what_is_new_or_changed(keep: Keep, pictures: list[Path], library: Path) -> None:
    a, b, c = pictures
    assert keep({a: "a dog", b: "a cat"}) == [a, b]
    b.write_text("another picture")
    assert keep({a: "-", b: "a horse", c: "a cow"}, resume=True) == [b, c]
    assert captions(library) == {"a.jpg": "a dog", "b.jpg": "a horse", "c.jpg": "a cow"}
    assert history(library) == [("caption", "a cat", "a horse")]
    assert not find_faults(library)


def test_a_touched_file_keeps_what_a_person_wrote(keep: Keep, pictures: list[Path], library: Path) -> None:
    a = pictures[0]
    keep({a: "a dog"})
    edit(library, a, "Anna's dog")
    os.utime(a, ns=(1, 1))
    assert keep({a: "a dog"}, resume=True) == [a]
    assert captions(library) == {"a.jpg": "Anna's dog"}
    assert keep({a: "a dog"}, resume=True) == []


def test_a_row_moves_with_its_picture_and_a_copy_gets_a_row(keep: Keep, pictures: list[Path], library: Path) -> None:
    a, b, c = pictures
    keep({a: "a dog"})
    edit(library, a, "Anna's dog")
    shutil.copy2(a, b)
    keep({a: "-", b: "a copy"}, resume=True)
    assert captions(library) == {"a.jpg": "Anna's dog", "b.jpg": "a copy"}
    a.replace(c)
    keep({b: "-", c: "a dog"}, resume=True)
    assert captions(library) == {"c.jpg": "Anna's dog", "b.jpg": "a copy"}
    assert history(library) == [("path", str(a), str(c))]


def test_overwriting_captions_a_moved_picture_anew_in_its_row(keep: Keep, pictures: list[Path], library: Path) -> None:
    a, moved = pictures[0], pictures[0].with_name("moved.jpg")
    keep({a: "a dog"})
    a.rename(moved)
    keep({moved: "a wolf"}, overwrite=True)
    assert captions(library) == {"moved.jpg": "a wolf"}
    assert history(library) == [("path", str(a), str(moved)), ("caption", "a dog", "a wolf")]
    assert not find_faults(library)


def test_missing_files_are_marked_until_they_are_back(keep: Keep, pictures: list[Path], library: Path) -> None:
    a, b, _ = pictures
    keep({a: "a dog", b: "a cat"})
    b.rename(b.with_suffix(".away"))
    keep({a: "-"}, resume=True)
    assert (count_all(library).pictures, count_all(library).missing) == (2, 1)
    b.with_suffix(".away").rename(b)
    assert keep({a: "-", b: "-"}, resume=True) == []
    assert count_all(library).missing == 0


def test_overwriting_keeps_the_old_captions_in_the_history(keep: Keep, pictures: list[Path], library: Path) -> None:
    a, b, _ = pictures
    keep({a: "a dog", b: "a cat"})
    assert keep({a: "a wolf"}, overwrite=True) == [a]
    assert captions(library) == {"a.jpg": "a wolf", "b.jpg": "a cat"}
    assert history(library) == [("caption", "a dog", "a wolf")]


def test_a_failure_keeps_the_caption_before_it_in_the_history(keep: Keep, pictures: list[Path], library: Path) -> None:
    a = pictures[0]
    keep({a: "a dog"})
    a.write_text("")
    keep({a: Result(a, error="is empty (0 bytes)")}, resume=True)
    assert list(read_results(library)) == [Result(a, error="is empty (0 bytes)")]
    assert history(library) == [("caption", "a dog", None), ("error", None, "is empty (0 bytes)")]
    assert not find_faults(library)


def test_it_is_read_while_it_is_written(pictures: list[Path], library: Path) -> None:
    with LibraryFile(library) as kept:
        for count, path in enumerate(pictures):
            assert len(list(read_results(library))) == count
            kept.write(make_kept(path, "a dog"))


def refusal(library: Path, **how: bool) -> CapcliError:
    with pytest.raises(CapcliError) as caught, LibraryFile(library, **how):
        pass
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_is_no_library_of_this_version_is_refused_and_left_alone(
    keep: Keep, pictures: list[Path], library: Path
) -> None:
    library.write_bytes(b"no database, but long enough to be taken for the beginning of one" * 99)
    before = library.read_bytes()
    assert "is no library of capcli" in str(refusal(library, overwrite=True))
    assert library.read_bytes() == before
    library.unlink()
    with sqlite3.connect(library) as connection:
        connection.execute("CREATE TABLE mine (a)")
    assert "another program's database" in str(refusal(library, resume=True))
    with pytest.raises(UsageError, match="another program's database"):
        count_all(library)
    library.unlink()
    keep({pictures[0]: "a dog"})
    with sqlite3.connect(library) as connection:
        connection.execute("PRAGMA user_version = 9")
    assert "a library of version 9, and this capcli knows 3" in str(refusal(library, resume=True))


def test_an_empty_file_is_told_and_may_become_a_library(keep: Keep, pictures: list[Path], library: Path) -> None:
    library.touch()
    with pytest.raises(
        UsageError, match=r"photos.db is empty; `capcli caption PICTURES -o .*photos.db` makes a library"
    ):
        count_all(library)
    assert library.read_bytes() == b""
    keep({pictures[0]: "a dog"})
    assert captions(library) == {"a.jpg": "a dog"}


def test_an_existing_library_is_not_taken_unasked(keep: Keep, pictures: list[Path], library: Path) -> None:
    keep({pictures[0]: "a dog"})
    assert "exists; --resume goes on with it" in str(refusal(library))


def test_a_network_drive_is_refused(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "network_of", lambda path: "nfs4")
    assert "lies on a network drive (nfs4)" in str(refusal(library))
    assert not list(library.parent.iterdir())


def test_two_runs_do_not_write_one_library(library: Path) -> None:
    with LibraryFile(library):
        assert "being written by another run" in str(refusal(library))
    assert list(library.parent.iterdir()) == [library]


def test_another_program_that_locks_it_is_said(
    keep: Keep, pictures: list[Path], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    keep({pictures[0]: "a dog"})
    other = sqlite3.connect(library, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CapcliError, match="locked by another program"):
        keep({pictures[1]: "a cat"}, resume=True)
    other.execute("ROLLBACK")
    keep({pictures[1]: "a cat"}, resume=True)
    assert captions(library) == {"a.jpg": "a dog", "b.jpg": "a cat"}
    other.close()


def test_a_full_disk_loses_no_row(keep: Keep, pictures: list[Path], library: Path) -> None:
    keep({pictures[0]: "a dog"})
    with sqlite3.connect(library) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    with pytest.raises(CapcliError, match="no space left on device; the rows it holds are whole"):  # noqa: SIM117
        with LibraryFile(library, resume=True) as kept:
            kept._connection.execute(f"PRAGMA max_page_count = {pages}")
            kept.write(make_kept(pictures[1], "a cat " * 20_000))
    keep({pictures[1]: "a cat"}, resume=True)
    assert captions(library) == {"a.jpg": "a dog", "b.jpg": "a cat"}
    assert not find_faults(library)


@pytest.mark.parametrize("size", [0, 4096, 10_000, 20_000, 40_000, 70_000])
def test_a_disk_that_is_full_when_a_library_begins_leaves_none(
    keep: Keep, pictures: list[Path], library: Path, size: int
) -> None:
    with file_size_limit(size), pytest.raises(CapcliError, match=r"photos\.db: no library was made \(.*make room"):
        keep({pictures[0]: "a dog"})
    assert not list(library.parent.glob("*photos.db*"))
    keep({pictures[0]: "a dog"})
    assert captions(library) == {"a.jpg": "a dog"}


def test_a_run_that_came_to_nothing_leaves_no_library(library: Path) -> None:
    with pytest.raises(UsageError), LibraryFile(library):
        raise UsageError("no such model")
    assert not list(library.parent.iterdir())


def test_a_run_that_came_to_nothing_leaves_no_log_of_changes(library: Path) -> None:
    with pytest.raises(UsageError), LibraryFile(library):
        reader = sqlite3.connect(library)  # so that SQLite leaves the log, as it does on a full disk
        assert reader.execute("SELECT count(*) FROM picture").fetchone() == (0,)
        raise UsageError("no such model")
    reader.close()
    assert not list(library.parent.iterdir())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE picture SET caption = ''", "a.jpg: its caption is empty"),
        ("UPDATE picture SET confidence = 2", "a.jpg: its confidence is not between 0 and 1"),
        ("UPDATE picture SET model = NULL", "a.jpg: its caption has no model"),
        (
            "INSERT INTO history (picture, field, at, by) VALUES (9, 'caption', '2026', 'x')",
            "refers to a picture that is not there",
        ),
        ("INSERT INTO words_of (rowid, caption) VALUES (5, 'unsaid')", "the index of words does not fit the captions"),
        ("UPDATE picture SET keywords = '[{}]'", "a.jpg: the row of picture 1 is damaged"),
        ("INSERT INTO vector VALUES (7, 1, x'0000')", "picture 7 has a vector of model 1 and no caption"),
    ],
)
def test_a_check_finds_what_is_broken(
    keep: Keep, pictures: list[Path], library: Path, statement: str, message: str
) -> None:
    keep({pictures[0]: "a dog"})
    assert not find_faults(library)
    with sqlite3.connect(library) as connection:
        connection.execute(statement)
    assert any(message in fault for fault in find_faults(library))


@pytest.mark.parametrize(
    "values",
    [
        *("words = '[['", "words = '[[\"a\"]]'", "words = '{}x'", "others = '[[1, 2]]'", 'others = \'[["a", "b"]]\''),
        *("keywords = '[{\"wora\": 1}]'", "keywords = '[1]'", "keywords = '7'", "confidence = 'x'", "caption = x'ff'"),
        *("caption = CAST(x'ff' AS TEXT)", "mtime = 'x'", "taken = '2019-99'", "path = x'ff'"),
    ],
)
def test_a_damaged_row_is_said_in_one_line(keep: Keep, pictures: list[Path], library: Path, values: str) -> None:
    keep({pictures[0]: "a dog"})
    with sqlite3.connect(library) as connection:
        connection.execute(f"UPDATE picture SET {values}")
    line = r"^.*photos.db: the row of picture 1 is damaged; `capcli library check` says what is whole$"
    with pytest.raises(CapcliError, match=line):
        list(read_results(library))
    with pytest.raises(CapcliError, match=line):
        read_window(library, None, None, 9)
    assert "the row of picture 1 is damaged" in "".join(find_faults(library))
