"""A search by an index of vectors finds what a search of all vectors finds, and no index is used that is not right."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.errors import CapcliError, UsageError
from capcli.library import search as searching
from capcli.library.changes import put_result
from capcli.library.contents import count_all, find_faults
from capcli.library.database import changing, open_to_write, reading
from capcli.library.indexing import make_index
from capcli.library.options import SearchOptions
from capcli.library.search import Hit, Query, search
from capcli.library.vector_index import NotInstalled, import_usearch, index_path, open_index
from capcli.library.vectors import drop_vector, put_vector
from capcli.output import Result
from capcli.pictures.facts import Facts

try:
    usearch = import_usearch().index
except NotInstalled as why:
    pytest.skip(str(why), allow_module_level=True)

WIDTH, PICTURES = 16, 400
RANDOM = np.random.default_rng(3)
CENTRES = RANDOM.standard_normal((8, WIDTH)).astype(np.float32)


def draw(number: int) -> Any:
    """A unit vector near one of a few, as vectors of photographs are."""
    random = np.random.default_rng(number)
    vector = CENTRES[number % len(CENTRES)] + random.standard_normal(WIDTH) / 2
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def add(library: Path, numbers: range, model: str = "ab") -> None:
    connection = open_to_write(library)
    with changing(connection):
        for number in numbers:
            taken = f"20{number % 20:02}-01-01T00:00:00"
            put_result(
                connection,
                Result(
                    Path(f"/photos/{number % 9}/{number}.jpg"),
                    ("A dog." if number % 3 else "A cat in the snow.",),
                    (number % 10 / 10,),
                    "fake",
                    model_sha256=model,
                    vector=draw(number),
                    facts=Facts(number, number, 4, 3, taken, str(number)),
                ),
                replace=True,
            )
    connection.close()


def change(library: Path, statement: str) -> None:
    # To its end, so that the file has all of it when it is copied.
    with closing(sqlite3.connect(library)) as connection, connection:
        connection.execute(statement)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("made") / "photos.db"
    add(library, range(PICTURES))
    change(library, "UPDATE picture SET missing = 1 WHERE id % 50 = 0")
    make_index(library, "ab")
    return library


@pytest.fixture
def library(indexed: Path, tmp_path: Path) -> Path:
    for path in (indexed, index_path(indexed)):
        shutil.copy2(path, tmp_path)
    return tmp_path / indexed.name


def find(library: Path, number: int = 5, words: tuple[str, ...] = (), without: int | None = None, **how: Any) -> Any:
    """What is found with any index that may be used, and with none."""
    query = Query(words, draw(number), (1,), (), None if without is None else draw(without))
    exact = search(library, query, SearchOptions(exact=True, **how))
    assert exact.notes == [] or not exact.hits
    return search(library, query, SearchOptions(**how), large=0), exact.hits


def places(hits: list[Hit]) -> list[Any]:
    return [hit.to_json() for hit in hits]


def forbid_all_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets fail what compares the query with every vector."""
    monkeypatch.setattr(searching, "compare_vectors", None)


def test_with_an_index_some_vectors_are_compared_and_the_same_pictures_found(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "DEPTH", 100)
    exact = [find(library, number, ("snow",))[1] for number in range(8)]
    forbid_all_vectors(monkeypatch)
    for number in range(8):
        query = Query(("snow",), draw(number), (1,))
        found = search(library, query, SearchOptions(), large=0)
        assert found.notes == []
        assert places(found.hits) == places(exact[number])


@pytest.mark.parametrize(
    "how",
    [
        {"folder": Path("/photos/4")},
        {"since": "2015"},
        {"until": "2000", "top": 40},
        {"min_confidence": 0.9, "min_score": -1.0},
        {"without": 5},
        {"without": 4, "words": ("snow",)},
        {"folder": Path("/elsewhere")},
        {"words": ("snow",), "min_score": 0.99, "top": 400},
    ],
    ids=str,
)
@pytest.mark.parametrize("depth", [30, 1000])
def test_conditions_choose_as_without_an_index(
    library: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], depth: int
) -> None:
    monkeypatch.setattr(searching, "DEPTH", depth)
    monkeypatch.setattr(searching, "_MOST", 4 * depth)
    found, exact = find(library, **{"top": 5, **how})
    nowhere = [f"{library} has no picture in /elsewhere, and there is no such folder"]
    assert found.notes == (nowhere if "folder" in how and not exact else [])
    assert places(found.hits) == places(exact)


def test_up_to_a_million_pictures_every_vector_is_compared(library: Path) -> None:
    index_path(library).write_bytes(b"")
    assert search(library, Query((), draw(5), (1,)), SearchOptions()).notes == []


def change_the_library(library: Path) -> None:
    add(library, range(5, 6))


def tear(library: Path) -> None:
    os.truncate(index_path(library), index_path(library).stat().st_size // 2)


def make_of_another_version(library: Path) -> None:
    content = index_path(library).read_bytes()
    assert content.endswith(b"capcli vectors 2")
    index_path(library).write_bytes(content[:-1] + b"1")


def change_a_byte(library: Path) -> None:
    content = bytearray(index_path(library).read_bytes())
    content[len(content) // 3] ^= 1
    index_path(library).write_bytes(content)


def empty(library: Path) -> None:
    index_path(library).write_bytes(b"")


def take_another(library: Path) -> None:
    other = library.with_name("other.db")
    add(other, range(PICTURES))
    make_index(other, "ab")
    index_path(other).replace(index_path(library))


def take_that_of_another_model(library: Path) -> None:
    add(library, range(PICTURES, PICTURES + 9), "cd")
    make_index(library, "cd")


def take_that_of_another_usearch(library: Path) -> None:
    make_as("0.1", library)


def make_as(version: str, library: Path) -> None:
    index_path(library).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("usearch.__version__", version)
        make_index(library, "ab")


def delete(library: Path) -> None:
    index_path(library).unlink()


@pytest.mark.parametrize(
    ("happen", "why"),
    [
        (change_the_library, "does not have the library's present vectors"),
        (tear, "is damaged"),
        (make_of_another_version, "was made by another version of capcli"),
        (change_a_byte, "is damaged"),
        (empty, "is damaged"),
        (take_another, "does not have the library's present vectors"),
        (take_that_of_another_model, "is of another model"),
        (take_that_of_another_usearch, "was made by usearch 0.1"),
        (delete, "makes searches of it faster"),
    ],
)
def test_an_index_that_is_not_right_is_not_used_and_a_line_says_so(
    library: Path, happen: Callable[[Path], None], why: str
) -> None:
    happen(library)
    found, exact = find(library)
    assert places(found.hits) == places(exact)
    (note,) = found.notes
    assert why in note
    assert f"`capcli library index {library}`" in note
    make_index(library, "ab")
    assert find(library)[0].notes == []


@pytest.mark.slow
def test_what_computes_may_be_loaded_after_usearch(tmp_path: Path) -> None:
    program = (
        "from capcli.library.vector_index import import_usearch; import_usearch()\n"
        "import onnxruntime, torch\n"
        "torch.jit.trace(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_without_usearch_every_vector_is_compared_and_a_line_says_how_to_get_it(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "usearch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "usearch", None)
    for _ in range(2):
        found, exact = find(library)
        assert places(found.hits) == places(exact)
        (note,) = found.notes
        assert 'pip install "capcli[usearch]"' in note
        index_path(library).unlink(missing_ok=True)
    with pytest.raises(UsageError, match=r'an index needs usearch: pip install "capcli\[usearch\]"'):
        make_index(library, "ab")
    assert not find_faults(library)


def test_an_index_that_was_copied_is_used_after_it_was_proved(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(index_path(library))
    exact = find(library)[1]
    forbid_all_vectors(monkeypatch)
    assert places(search(library, Query((), draw(5), (1,)), SearchOptions(), large=0).hits) == places(exact)


STEPS = st.lists(
    st.tuples(st.just("put"), st.integers(1, PICTURES), st.integers(0, 99))
    | st.tuples(st.just("drop"), st.integers(1, PICTURES), st.just(0)),
    max_size=60,
)


@pytest.fixture(scope="module")
def changed(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that examples change one after the other."""
    return Path(shutil.copy2(indexed, tmp_path_factory.mktemp("changed")))


@settings(max_examples=6)
@given(st.lists(STEPS, min_size=1, max_size=3))
def test_an_index_that_is_kept_up_has_the_vectors_of_the_library(changed: Path, rounds: list[list[Any]]) -> None:
    for steps in rounds:
        connection = open_to_write(changed)
        with changing(connection):
            for name, picture, number in steps:
                drop_vector(connection, picture)
                if name == "put":
                    put_vector(connection, picture, 1, draw(number))
        connection.close()
        label = make_index(changed, "ab")
        assert not find_faults(changed)
        account = count_all(changed)
        assert account.index is not None
        assert (account.index.unfit, account.index.vectors, label.vectors) == (None, account.vectors, account.vectors)
        with reading(changed) as connection:
            index = open_index(changed, connection, "ab")
            near = index.nearest(draw(1), len(index))
            scores = index.compare(near, draw(1))
        # Threads that link neighbours at the same moment may leave one that nothing leads to.
        assert account.vectors - 3 <= len(set(near.tolist())) <= account.vectors
        assert np.all(np.diff(scores) < 0.01)


def test_a_check_finds_vectors_that_the_library_does_not_have(library: Path) -> None:
    change(library, "DROP TRIGGER block_update")
    change(library, "UPDATE block SET vectors = zeroblob(length(vectors))")
    (fault,) = find_faults(library)
    assert f"has other vectors of {PICTURES} pictures than the library" in fault
    tear(library)
    (fault,) = find_faults(library)
    assert "is damaged; delete it" in fault


def killed(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    if (child := os.fork()) == 0:
        monkeypatch.setattr(os, "fsync", lambda descriptor: os.kill(os.getpid(), signal.SIGKILL))
        make_index(library, "ab")
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def disk_full(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    if (child := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        try:
            make_index(library, "ab")
        except CapcliError as error:
            os._exit(error.exit_code if str(error).startswith(str(index_path(library))) else 3)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.parametrize("happen", [killed, disk_full])
def test_an_index_is_replaced_whole_or_not_at_all(
    library: Path, monkeypatch: pytest.MonkeyPatch, happen: Callable[..., None]
) -> None:
    before = index_path(library).read_bytes()
    happen(library, monkeypatch)
    assert index_path(library).read_bytes() == before
    assert find(library)[0].notes == []
    make_index(library, "ab")
    assert sorted(path.name for path in library.parent.iterdir()) == ["photos.db", "photos.db.usearch"]


def test_an_index_needs_a_library_with_vectors_by_the_model(library: Path) -> None:
    with pytest.raises(UsageError, match="has no vectors by this model; --model names"):
        make_index(library, "other")
    with pytest.raises(UsageError, match="no such library"):
        make_index(library.with_name("absent.db"), "ab")
    assert not library.with_name("absent.db").exists()
