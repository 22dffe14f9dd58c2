from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.modelfile.checkpoint import Checkpoint


@pytest.fixture
def model(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    """A tiny model of a test's own."""
    file = tmp_path / "mine.safetensors"
    tiny_checkpoint().save(file)
    return file
