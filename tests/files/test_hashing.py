from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from capcli.files.hashing import file_hash


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x" * 3_000_000)
    assert file_hash(tmp_path / "model") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_file_that_changed_has_another_hash(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x")
    before = file_hash(tmp_path / "model")
    (tmp_path / "model").write_bytes(b"more")
    assert file_hash(tmp_path / "model") != before
    (tmp_path / "model").unlink()
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "model")
