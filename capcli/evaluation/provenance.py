"""What a figure was taken of and on, so that it can be taken again."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from capcli.files.json import dumps
from capcli.model.options import ModelOptions
from capcli.modelfile.identity import identify_model


def model_files(options: ModelOptions) -> dict[str, dict[str, str]]:
    """Name and hash of the model, and of the language model beside it if there is one; raises ModelError."""
    named = {"model": options.model, "language_model": options.lm}
    return {role: asdict(identify_model(name)) for role, name in named.items() if name is not None}


def data_hash(captions: Iterable[tuple[str, Any]]) -> str:
    """SHA-256, in hexadecimal, of images and what is said about them, whatever order the images come in.

    Args:
        captions: for each image its name and its captions, anything that JSON can hold.
    """
    digest = hashlib.sha256()
    for line in sorted(dumps(pair) for pair in captions):
        digest.update(line + b"\n")
    return digest.hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of those of the packages that are installed."""
    known = {"python": platform.python_version()}
    for package in packages:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, and system."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
