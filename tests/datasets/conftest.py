from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Touch = Callable[..., None]


@pytest.fixture
def touch() -> Touch:
    """Creates empty files named relative to a folder; readers never look into a picture."""

    def create(folder: Path, *names: str) -> None:
        for file in (folder / name for name in names):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    return create
