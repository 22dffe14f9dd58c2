from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from preloaded import ForkServer


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty small pictures, each of one colour."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number:02}.png" for number in range(30)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 30), (8 * number, 255 - 8 * number, 128)).save(path)
    return paths


@pytest.fixture
def run_script(preloaded: ForkServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script of `benchmarks/`, given by its file, forked from a process that has imported torch."""
    program = f"import runpy, sys\nsys.path[:] = {sys.path!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')"

    def run(*asked: object) -> subprocess.CompletedProcess[str]:
        arguments = [*map(str, asked)]
        run = preloaded.start(program, arguments, Path.cwd(), os.environ)
        out, err = (content.decode() for content in run.communicate())
        return subprocess.CompletedProcess(arguments, run.wait(), out, err)

    return run
