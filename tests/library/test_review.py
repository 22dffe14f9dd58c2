"""What people make of captions: nothing that anybody wrote is lost, whoever else writes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_results import make_kept

from capcli.errors import UsageError
from capcli.library.contents import find_faults, read_results
from capcli.library.keeping import LibraryFile
from capcli.library.review import (
    Conflict,
    NotChanged,
    Row,
    count_statuses,
    decide,
    holding,
    read_row,
    read_window,
    undo,
)
from capcli.output import Result

Keep = Callable[..., list[Path]]


@pytest.fixture
def library(keep: Keep, tmp_path: Path) -> Path:
    results = {}
    for name, confidence in {"a": 0.9, "b": 0.2, "c": 0.5}.items():
        path = tmp_path / f"{name}.jpg"
        path.write_text(name)
        results[path] = make_kept(path, f"A {name}.", confidences=(confidence,))
    keep(results)
    return tmp_path / "photos.db"


def row_of(library: Path, name: str) -> Row:
    return next(row for row in read_window(library, None, None, 99) if Path(row.path).stem == name)


def history(library: Path) -> list[tuple[str, str, str, str]]:
    with sqlite3.connect(library) as connection:
        return connection.execute("SELECT field, old, new, by FROM history ORDER BY id").fetchall()


def test_doubtful_captions_come_first_and_those_that_nobody_has_seen(library: Path) -> None:
    def order(show: str | None) -> list[str]:
        found: list[Row] = []
        while window := read_window(library, show, found[-1].place if found else None, 1):
            found += window
        return [Path(row.path).stem for row in found]

    assert order(None) == ["b", "c", "a"]
    b = row_of(library, "b")
    decide(library, b.id, b.version, "flagged", b.caption, "Ann")
    assert order(None) == ["c", "a", "b"]
    assert (order(""), order("flagged"), order("accepted")) == (["c", "a"], ["b"], [])
    assert count_statuses(library) == {"": 2, "accepted": 0, "edited": 0, "rejected": 0, "flagged": 1}


def test_an_edit_is_stored_with_the_old_text_and_taken_back_step_by_step(library: Path) -> None:
    first = row_of(library, "a")
    edited = decide(library, first.id, first.version, "accepted", "  Anna's dog. ", "Ann")
    assert (edited.caption, edited.status, edited.reviewer) == ("Anna's dog.", "edited", "Ann")
    assert history(library) == [("caption", "A a.", "Anna's dog.", "Ann"), ("status", None, "edited", "Ann")]
    rejected = decide(library, first.id, edited.version, "rejected", edited.caption, "Bob")
    back = undo(library, first.id, rejected.version, "Bob")
    assert (back.caption, back.status) == ("Anna's dog.", "edited")
    back = undo(library, first.id, back.version, "Bob")
    assert (back.caption, back.status, back.reviewed) == ("A a.", None, None)
    with pytest.raises(NotChanged, match="no change by a person"):
        undo(library, first.id, back.version, "Bob")
    assert not find_faults(library)


def test_the_second_of_two_changes_is_a_conflict_and_both_texts_are_kept(library: Path) -> None:
    row = row_of(library, "a")
    decide(library, row.id, row.version, "accepted", "Ann's text.", "Ann")
    with pytest.raises(Conflict) as conflict:
        decide(library, row.id, row.version, "accepted", "Bob's text.", "Bob")
    assert conflict.value.row.caption == row_of(library, "a").caption == "Ann's text."
    found = read_row(library, row.id)
    assert found is not None
    assert (found[1][0].field, found[1][0].new, found[1][0].by) == ("untaken", "Bob's text.", "Bob")
    with pytest.raises(Conflict):
        undo(library, row.id, row.version, "Bob")
    # Who wants what is there already is in nobody's way.
    assert decide(library, row.id, row.version, "accepted", "Ann's text.", "Bob").reviewer == "Ann"


def test_texts_that_are_none_are_refused(library: Path) -> None:
    row = row_of(library, "a")
    for text in (" \n", "x" * 5001):
        with pytest.raises(NotChanged):
            decide(library, row.id, row.version, "accepted", text, "Ann")
    with pytest.raises(NotChanged):
        decide(library, 99, 0, "accepted", "A dog.", "Ann")
    assert history(library) == []


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("accepted", "rejected", "flagged", "undo")),
        st.sampled_from(("A dog.", "A cat.", "A cow.")),
        st.integers(0, 2),  # versions that have passed since the reviewer looked
    ),
    max_size=8,
)


@settings(max_examples=30)
@given(CHANGES)
def test_no_text_is_ever_lost(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, int]]) -> None:
    folder = tmp_path_factory.mktemp("one")
    (folder / "a.jpg").write_text("a")
    library = folder / "photos.db"
    with LibraryFile(library) as kept:
        kept.write(make_kept(folder / "a.jpg", "A dog."))
    written, version = {"A dog."}, 0
    for action, text, late in changes:
        with suppress(Conflict, NotChanged):
            if action == "undo":
                version = undo(library, 1, version - late, "Ann").version
            else:
                written.add(text)
                version = decide(library, 1, version - late, action, text, "Ann").version
    found = read_row(library, 1)
    assert found is not None
    row, entries = found
    texts = {entry.new for entry in entries} | {entry.old for entry in entries} | {row.caption}
    assert written <= texts
    assert version == row.version
    assert not find_faults(library)


@pytest.mark.parametrize("status", ["accepted", "edited", "flagged"])
@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
def test_a_run_never_replaces_a_reviewed_caption(keep: Keep, library: Path, status: str, how: Any) -> None:
    row, path = row_of(library, "a"), library.parent / "a.jpg"
    text = "Anna's dog." if status == "edited" else row.caption
    decide(library, row.id, row.version, "accepted" if status == "edited" else status, text, "Ann")
    keep({path: "A wolf."}, **how)
    assert (row_of(library, "a").caption, row_of(library, "a").status) == (text, status)
    path.write_text("other pixels")
    keep({path: "A wolf."}, **how)
    again = row_of(library, "a")
    assert (again.caption, again.status, again.others[0][0]) == (text, "flagged", "A wolf.")
    path.write_text("")
    keep({path: Result(path, error="is empty (0 bytes)")}, **how)
    assert row_of(library, "a").caption == text
    assert not find_faults(library)


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
def test_a_reviewed_caption_moves_with_its_picture(keep: Keep, library: Path, how: Any) -> None:
    folder = library.parent
    for name in "bc":
        (folder / f"{name}.jpg").write_text("a")
    keep({folder / f"{name}.jpg": make_kept(folder / f"{name}.jpg", "A dog.") for name in "bc"}, overwrite=True)
    row = row_of(library, "b")
    decide(library, row.id, row.version, "accepted", "Anna's dog.", "Ann")
    for name in "ab":
        (folder / f"{name}.jpg").unlink()
    (folder / "c.jpg").rename(folder / "new.jpg")
    keep({folder / "new.jpg": make_kept(folder / "new.jpg", "A wolf.")}, **how)
    moved = row_of(library, "new")
    assert (moved.id, moved.caption, moved.status) == (row.id, "Anna's dog.", "edited")
    assert ("path", str(folder / "b.jpg"), str(folder / "new.jpg"), "capcli") in history(library)
    assert len([Path(other.path).stem for other in read_window(library, None, None, 99)]) == 1
    assert not find_faults(library)


def test_a_run_replaces_a_rejected_caption_and_nobody_has_seen_the_new_one(keep: Keep, library: Path) -> None:
    row, path = row_of(library, "a"), library.parent / "a.jpg"
    decide(library, row.id, row.version, "rejected", row.caption, "Ann")
    path.write_text("other pixels")
    keep({path: "A wolf."}, resume=True)
    again = row_of(library, "a")
    assert (again.caption, again.status, again.reviewer) == ("A wolf.", None, None)


@pytest.mark.parametrize("status", ["accepted", "rejected", "flagged"])
def test_words_and_source_of_a_caption_are_kept_while_its_text_is_the_model_s(
    keep: Keep, library: Path, status: str
) -> None:
    path, source = library.parent / "a.jpg", library.parent / "b.jpg"
    words = (("a", -1.0, None),)

    def stored() -> Result:
        return next(result for result in read_results(library) if result.path == path)

    keep({path: make_kept(path, "A dog.", words=words, copied_from=source)}, overwrite=True)
    row = row_of(library, "a")
    row = decide(library, row.id, row.version, status, row.caption, "Ann")
    assert (stored().words, stored().copied_from, row.copied_from) == (words, source, str(source))
    row = decide(library, row.id, row.version, status, "Anna's dog.", "Ann")
    row = decide(library, row.id, row.version, "flagged", "Anna's dog.", "Bob")
    assert (stored().words, stored().copied_from, row.copied_from) == (None, None, None)
    row = decide(library, row.id, row.version, status, "A dog.", "Ann")
    assert (stored().words, stored().copied_from, row.copied_from) == (words, source, str(source))


def test_the_words_of_a_later_run_belong_to_its_caption(keep: Keep, library: Path) -> None:
    path = library.parent / "a.jpg"
    row = row_of(library, "a")
    decide(library, row.id, row.version, "rejected", "Anna's dog.", "Ann")
    words = (("a", -1.0, None),)
    keep({path: make_kept(path, "A wolf.", words=words)}, overwrite=True)
    (result,) = (stored for stored in read_results(library) if stored.path == path)
    assert (result.captions, result.words) == (("A wolf.",), words)


def test_a_checked_caption_is_not_uncertain_and_an_edited_one_has_no_words_of_the_model(
    keep: Keep, library: Path
) -> None:
    path = library.parent / "a.jpg"
    keep({path: make_kept(path, "A dog.", uncertain=True, words=(("a", -1.0, None),))}, overwrite=True)
    row = row_of(library, "a")
    decide(library, row.id, row.version, "accepted", "Anna's dog.", "Ann")
    (result,) = (stored for stored in read_results(library) if stored.path == path)
    assert (result.captions[0], result.status, result.uncertain, result.words) == ("Anna's dog.", "edited", False, None)


def test_a_library_whose_file_is_read_only_is_checked_and_not_reviewed(library: Path) -> None:
    library.chmod(0o444)
    if os.access(library, os.W_OK):
        pytest.skip("this user may write everything")
    assert find_faults(library) == []
    with pytest.raises(UsageError, match="may not be written"), holding(library):
        pass
