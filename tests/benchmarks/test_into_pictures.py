"""A small run of the benchmark: eight kinds of pictures, killed and gone on with."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from into_pictures import KINDS, prove


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed (Debian: libimage-exiftool-perl)")
def test_nothing_but_texts_changes_in_pictures_of_any_kind(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    assert list(prove(tmp_path, files=2 * len(KINDS), kills=2, chance=random.Random(0))) == []
