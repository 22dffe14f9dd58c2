"""Vectors come back whatever was put, replaced, dropped and packed before."""

from __future__ import annotations

import gzip
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.library.contents import count_all, find_faults, read_results
from capcli.library.database import open_to_write, read_stamp, reading
from capcli.library.options import SearchOptions
from capcli.library.search import Query, search
from capcli.library.vectors import BLOCK, compare_vectors, drop_vector, pack, put_vector, read_vectors

PICTURES = (1, 2, BLOCK - 1, BLOCK, 2 * BLOCK + 5)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    database = open_to_write(tmp_path_factory.mktemp("vectors") / "photos.db")
    database.execute("INSERT INTO model (id, name, sha256) VALUES (1, 'a', 'a'), (2, 'b', 'b')")
    for picture in PICTURES:
        database.execute("INSERT INTO picture (id, path, error) VALUES (?, ?, '-')", (picture, str(picture)))
    return database


STEPS = st.lists(
    st.tuples(st.just("put"), st.sampled_from(PICTURES), st.sampled_from((1, 2)), st.integers(1, 9))
    | st.tuples(st.just("drop"), st.sampled_from(PICTURES))
    | st.tuples(st.just("pack")),
    max_size=12,
)


@given(STEPS)
def test_each_picture_has_the_vector_that_it_was_given_last(connection: sqlite3.Connection, steps: list[tuple]) -> None:
    connection.execute("DELETE FROM block")
    connection.execute("DELETE FROM vector")
    expected: dict[int, tuple[int, int]] = {}
    for name, *values in steps:
        if name == "put":
            picture, model, value = values
            if expected.get(picture, (model,))[0] != model:
                drop_vector(connection, picture)
            put_vector(connection, picture, model, np.full(2 + model, value, np.float32))
            expected[picture] = model, value
        elif name == "drop":
            drop_vector(connection, values[0])
            expected.pop(values[0], None)
        else:
            pack(connection)
    found: dict[int, tuple[int, int]] = {}
    for model in (1, 2):
        for start, vectors in read_vectors(connection, model):
            assert vectors.shape[1] == 2 + model
            found.update({start + place: (model, int(row[0])) for place, row in enumerate(vectors) if row.any()})
    assert found == expected


def test_similarities_are_nearly_those_of_float32(tmp_path: Path) -> None:
    connection = open_to_write(tmp_path / "photos.db")
    connection.execute("INSERT INTO model (id, name, sha256) VALUES (1, 'a', 'a')")
    random = np.random.default_rng(0)
    vectors = random.standard_normal((BLOCK + 50, 512), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for number, vector in enumerate(vectors, 1):
        connection.execute("INSERT INTO picture (id, path, error) VALUES (?, ?, '-')", (number, str(number)))
        put_vector(connection, number, 1, vector)
        if number == BLOCK:
            pack(connection)
    scores = compare_vectors(connection, 1, vectors[7])
    assert scores[0] == 0
    differences = np.abs(scores[1:] - vectors @ vectors[7])
    assert differences.max() < 3e-3
    assert differences.mean() < 5e-4


def test_a_library_of_version_1_becomes_one_of_this_version(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    connection = open_to_write(path)
    connection.execute("INSERT INTO model (id, name, sha256) VALUES (1, 'a', 'a')")
    vectors = np.random.default_rng(0).standard_normal((3, 16), np.float32)
    vectors[1] = 0
    for picture in (1, 2, 3):
        connection.execute("INSERT INTO picture (id, path, error) VALUES (?, ?, '-')", (picture, str(picture)))
    former = vectors.astype(np.float16)
    connection.execute("INSERT INTO block (model, number, width, vectors) VALUES (1, 0, 16, ?)", (former.tobytes(),))
    connection.execute("INSERT INTO vector VALUES (3, 1, ?)", (former[2].tobytes(),))
    connection.execute("ALTER TABLE picture DROP COLUMN look")
    for table in ("vector", "block"):
        for change in ("insert", "update", "delete"):
            connection.execute(f"DROP TRIGGER {table}_{change}")
    connection.execute("DROP TABLE stamp")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        with reading(path) as read:
            (start, block), (picture, loose) = read_vectors(read, 1)
        assert (start, picture) == (0, 3)
        np.testing.assert_allclose(block, vectors, atol=0.02)
        np.testing.assert_allclose(loose[0], vectors[2], atol=0.02)
        assert not block[1].any()
    assert next(read_results(path)).error == "-"


VERSION_2 = Path(__file__).parent / "libraries" / "version-2.db.gz"
"""Four pictures, two vectors in a block and one by itself, as capcli of version 2 of the tables wrote them."""


@pytest.fixture
def former(tmp_path: Path) -> Path:
    path = tmp_path / "photos.db"
    path.write_bytes(gzip.decompress(VERSION_2.read_bytes()))
    return path


def find(path: Path) -> list[str]:
    found = search(path, Query(("car",), np.array([0, 0.6, 0.8], np.float32), (1,)), SearchOptions(), large=0)
    return [hit.path.stem for hit in found.hits]


def test_a_library_of_version_2_is_read_as_it_is_and_renewed_when_it_is_written(former: Path) -> None:
    before = former.read_bytes()
    assert find(former) == ["car", "cat"]
    assert (count_all(former).pictures, count_all(former).vectors) == (4, 3)
    assert former.read_bytes() == before
    with reading(former) as connection:
        assert read_stamp(connection) is None
    open_to_write(former).close()
    with reading(former) as connection:
        assert read_stamp(connection) is not None
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert find(former) == ["car", "cat"]
    assert not find_faults(former)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everything")
def test_a_library_of_version_2_on_a_disk_that_takes_no_writes_is_read(former: Path) -> None:
    former.chmod(0o444)
    former.parent.chmod(0o555)
    try:
        assert find(former) == ["car", "cat"]
    finally:
        former.parent.chmod(0o755)


def test_each_change_of_a_vector_changes_the_stamp_and_nothing_else_does(former: Path) -> None:
    connection = open_to_write(former)
    stamps = [read_stamp(connection)]
    for change in (
        lambda: put_vector(connection, 4, 1, np.ones(3, np.float32)),
        lambda: put_vector(connection, 4, 1, np.ones(3, np.float32)),
        lambda: drop_vector(connection, 4),
        lambda: drop_vector(connection, 1),
        lambda: pack(connection),
    ):
        change()
        stamps.append(read_stamp(connection))
    assert len(set(stamps)) == len(stamps)
    drop_vector(connection, 4)
    pack(connection)
    connection.execute("UPDATE picture SET caption = 'A cow.', error = NULL WHERE id = 4")
    assert read_stamp(connection) == stamps[-1]
