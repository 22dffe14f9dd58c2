"""The tiny model of an encoder that is built, saved and loaded several times as fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.modelfile.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(small_checkpoint: Callable[..., Checkpoint]) -> Callable[..., Checkpoint]:
    """Builds a whole model with random weights and eight words, by the name of its decoder."""
    return small_checkpoint


@pytest.fixture(scope="session")
def tiny_file(tiny_checkpoint: Callable[..., Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file in float16; tests leave it as it is."""
    file = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_checkpoint().save(file)
    return file
