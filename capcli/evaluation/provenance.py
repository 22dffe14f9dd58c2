"""What a figure was taken of and on, so that it can be taken again."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

from capcli.files.json import dumps
from capcli.known import know_model
from capcli.model.options import ModelOptions
from capcli.modelfile.identity import identify_model
from capcli.modelfile.shipped import find_model


class ModelFiles(TypedDict, total=False):
    """Name and hash of a model, and of the language model beside it if there is one, as plain values."""

    model: dict[str, str]
    language_model: dict[str, str]


class RunFacts(ModelFiles, total=False):
    """What made captions, as plain values; nothing for captions that others made.

    Attributes:
        decoding: options by name.
        device: where the model computed.
        batch_size: how many pictures it had at once.
        images_per_second: None where earlier runs made all.
    """

    decoding: dict[str, object]
    device: str
    batch_size: int
    images_per_second: float | None


def model_files(options: ModelOptions) -> ModelFiles:
    """Of the models that the options name; raises ModelError."""
    files: ModelFiles = {"model": know_model(options.model).identity.to_json()}
    if options.lm is not None:
        files["language_model"] = identify_model(find_model(options.lm)).to_json()
    return files


def data_hash(captions: Iterable[tuple[str, object]]) -> str:
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


def machine() -> dict[str, object]:
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
