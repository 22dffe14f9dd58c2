"""A model made smaller."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from capcli.catalogue.facts import Facts
from capcli.errors import UsageError
from capcli.model.checkpoint import Checkpoint


def quantized(label: str, file: Path) -> Checkpoint:
    """The model of a file with the weights of its layers as int8, once it is saved.

    Scores and recipe of the original stay with it: the recipe as its own, the scores under `origin`, as they were not
    measured with these weights.

    Raises:
        ModelError: if the file cannot be used.
        UsageError: if it is int8 already.
    """
    facts, checkpoint = Facts.read(label, file), Checkpoint.load(file)
    if checkpoint.quantized:
        raise UsageError(f"{label} is stored as int8 already")
    origin = {"model": file.stem, "sha256": facts.sha256, "method": "int8", "scores": checkpoint.scores}
    return dataclasses.replace(checkpoint, quantized=True, scores={}, origin=origin)
