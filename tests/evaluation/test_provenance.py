from __future__ import annotations

import hashlib
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from capcli.evaluation.provenance import data_hash, file_hash, machine, versions


def test_file_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x" * 3_000_000)
    assert file_hash(tmp_path / "model") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


@given(st.dictionaries(st.text(), st.lists(st.text())), st.randoms())
def test_the_order_of_images_does_not_change_the_data(captions: dict[str, list[str]], order: random.Random) -> None:
    rows = list(captions.items())
    assert data_hash(order.sample(rows, len(rows))) == data_hash(rows)


def test_the_order_of_captions_does() -> None:
    assert data_hash([("a", ["x", "y"])]) != data_hash([("a", ["y", "x"])])


def test_versions_are_of_what_is_installed() -> None:
    assert versions("capcli", "no-such-package-here").keys() == {"python", "capcli"}


def test_the_machine_has_cores() -> None:
    assert machine()["cores"] >= 1
