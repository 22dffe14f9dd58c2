from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.modelfile.checkpoint import Checkpoint


@pytest.fixture
def model(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    """A tiny model of a test's own, whose card names its hash."""
    file = tmp_path / "mine.safetensors"
    tiny_checkpoint().save(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_suffix(".md").write_text(f"# Model card: mine\n\n`mine.safetensors`, SHA-256 `{digest}`.\n")
    return file
