"""What a figure was taken on, and the command it was taken of."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """The machine and the versions on one line."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, torch {version('torch')}, torchvision {version('torchvision')}, "
        f"onnxruntime {version('onnxruntime')}, capcli {version('capcli')}"
    )


def command() -> str:
    """Path of the installed `capcli`; raises SystemExit where there is none."""
    found = shutil.which("capcli", path=sysconfig.get_path("scripts")) or shutil.which("capcli")
    if found is None:
        raise SystemExit("the command capcli is not installed; pip install . first")
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
