"""A library of real photographs, made and searched by the installed command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., "CompletedProcess[str]"]


@pytest.mark.slow
def test_photographs_are_found_by_words_and_by_likeness(
    capcli: Run, imports: Callable[..., Any], examples: Path, tmp_path: Path
) -> None:
    shutil.copytree(examples, tmp_path / "photos")
    shutil.copy(examples / "cat.jpg", tmp_path / "photos" / "again.jpg")
    assert capcli("caption", "photos", "-o", "photos.db", cwd=tmp_path).returncode == 0
    (best,) = json.loads(capcli("search", "a cat", "photos.db", "--json", "-n", "1", cwd=tmp_path).stdout)
    assert Path(best["path"]).name in ("cat.jpg", "again.jpg")
    assert best["score"] > 0.4
    searched, modules = imports("search", "a cat", tmp_path / "photos.db", "-n", "1")
    assert (searched.returncode, "torch" in modules) == (0, False)
    like = capcli("search", "photos.db", "--like", examples / "rocket.jpg", "-f", "-n", "1", cwd=tmp_path)
    assert like.stdout == f"{tmp_path / 'photos' / 'rocket.jpg'}\n"
    found = capcli("search", "a zebra in a bathtub", "photos.db", cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "capcli: nothing found\n")
    (group,) = json.loads(capcli("duplicates", "photos.db", "--json", cwd=tmp_path).stdout)
    assert [row["same_pixels"] for row in group["others"]] == [True]
    assert capcli("library", "check", "photos.db", cwd=tmp_path).stdout == "sound: 6 pictures\n"
