from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from capcli.evaluation.thumbnail import thumbnail


@pytest.mark.parametrize(("size", "shown"), [((800, 400), (320, 160)), ((30, 60), (30, 60))])
def test_a_thumbnail_is_a_small_jpeg(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]) -> None:
    Image.new("RGBA", size, (255, 0, 0, 128)).save(tmp_path / "a.png")
    small = thumbnail(tmp_path / "a.png")
    assert small is not None
    kind, _, content = small.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (small.width, small.height) == shown


def test_what_is_no_picture_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    assert thumbnail(tmp_path / "a.png") is None
    assert thumbnail(tmp_path / "absent.png") is None
