from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty small pictures, each of one colour."""
    folder = tmp_path_factory.mktemp("pictures")
    made = [folder / f"{number:02}.png" for number in range(30)]
    for number, path in enumerate(made):
        Image.new("RGB", (40, 30), (8 * number, 255 - 8 * number, 128)).save(path)
    return made
