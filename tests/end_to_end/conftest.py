"""The installed command, run as users run it: another process, another folder, no network, no caches."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# What makes rich and typer believe in a terminal, and what could bring another capcli than the installed one.
_UNWANTED = ("FORCE_COLOR", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE", "PYTHONPATH")


@pytest.fixture(scope="session")
def command() -> str:
    """Path of the installed console script."""
    for name in ("capcli", "capcli.exe"):
        script = Path(sysconfig.get_path("scripts"), name)
        if script.is_file():
            return str(script)
    raise FileNotFoundError("the command capcli is not installed beside this Python; pip install . first")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which nothing can be downloaded and nothing was downloaded before."""
    nowhere = "http://127.0.0.1:9"
    home = str(tmp_path_factory.mktemp("home"))
    kept = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    proxies = {"http_proxy": nowhere, "https_proxy": nowhere, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}
    return {**kept, **proxies, "HOME": home, "TORCH_HOME": home, "COLUMNS": "100"}


@pytest.fixture(scope="session")
def capcli(command: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `capcli ARGUMENTS` in `cwd` (by default an empty folder) and returns the finished process.

    Other keywords are added to its environment. Whatever happens, it must not end in a traceback.
    """
    empty = tmp_path_factory.mktemp("empty")

    def run(*arguments: object, cwd: Path = empty, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [command, *map(str, arguments)],
            cwd=cwd,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def examples() -> Path:
    """Folder of real photographs."""
    return Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def json_rows(capcli: Run, examples: Path) -> list[dict[str, Any]]:
    """What `capcli caption --format jsonl` prints for all examples at the default options."""
    done = capcli("caption", "--format", "jsonl", examples)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def captions(json_rows: list[dict[str, Any]]) -> dict[str, str]:
    """Captions of the examples by file name without its ending."""
    return {Path(row["path"]).stem: row["caption"] for row in json_rows}
