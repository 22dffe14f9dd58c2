"""One photograph, a cat, in the modes and containers that people have."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# How the pixels must lie in the file for each EXIF orientation, so that a viewer shows the cat upright.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
SAME = ("plain.png", "opaque.png", *(f"orientation{value}.png" for value in STORED))
OTHER = ("on_white.webp", "cmyk.jpg", "gray16.png", "gray16.tif", "palette.png", "animated.gif", "bitmap.bmp")


@pytest.fixture(scope="module")
def cat_captions(capcli: Run, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Captions by file name of the cat in all its modes."""
    folder = tmp_path_factory.mktemp("modes")
    with Image.open(examples / "cat.jpg") as file:
        cat = file.convert("RGB")
    cat.save(folder / "plain.png")
    cat.save(folder / "bitmap.bmp")
    opaque = cat.convert("RGBA")
    opaque.save(folder / "opaque.png")
    for value, transpose in STORED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        cat.transpose(transpose).save(folder / f"orientation{value}.png", exif=exif)

    margin = Image.new("RGBA", (cat.width + 20, cat.height + 20), (0, 0, 0, 0))
    margin.paste(opaque, (10, 10))
    margin.save(folder / "on_white.webp", lossless=True)
    cat.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    gray = np.asarray(cat.convert("L")).astype(np.uint16) * 257
    Image.fromarray(gray).save(folder / "gray16.png")
    Image.fromarray(gray).save(folder / "gray16.tif")
    palette = cat.quantize(128)
    palette.save(folder / "palette.png")
    palette.save(folder / "animated.gif", save_all=True, append_images=[Image.new("P", cat.size)] * 2)

    done = capcli("caption", folder, "--format", "jsonl")
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(row["path"]).name: row["caption"] for row in rows}


def test_every_mode_is_captioned(cat_captions: dict[str, str]) -> None:
    assert sorted(cat_captions) == sorted(SAME + OTHER)


def test_equal_pixels_get_equal_captions_however_they_are_stored(cat_captions: dict[str, str]) -> None:
    assert {cat_captions[name] for name in SAME} == {cat_captions["plain.png"]}


@pytest.mark.parametrize("name", OTHER)
def test_it_stays_a_cat(cat_captions: dict[str, str], name: str) -> None:
    assert re.search(r"\b(cat|kitten)\b", cat_captions[name].lower()), cat_captions[name]
