"""What a figure was taken on, and the command it was taken of."""

from __future__ import annotations

import shutil
import sysconfig

from capcli.speed.machine import tell_machine as describe

__all__ = ["command", "describe"]


def command() -> str:
    """Path of the installed `capcli`; raises SystemExit where there is none."""
    found = shutil.which("capcli", path=sysconfig.get_path("scripts")) or shutil.which("capcli")
    if found is None:
        raise SystemExit("the command capcli is not installed; pip install . first")
    return found
