"""Models whose graphs are made several times as fast: no other process reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from capcli.modelfile.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(small_checkpoint: Callable[..., Checkpoint]) -> Callable[..., Checkpoint]:
    return small_checkpoint


@pytest.fixture(scope="session")
def tiny_file(small_file: Path) -> Path:
    return small_file
