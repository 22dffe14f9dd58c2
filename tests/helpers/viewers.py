"""What other programs show of a picture: Chromium, ImageMagick and libvips."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from capcli.arrays import UInt8Array

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
_MAGICK = ("magick", "convert-im7", "convert-im6", "convert-im6.q16", "convert")
_CELL = 128


def show_in_chromium(files: Sequence[Path]) -> list[UInt8Array]:
    """The pixels of each file's picture on a white page, uint8 128 x 128 x 3; what it does not cover is white."""
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if program is None:
        pytest.skip("needs Chromium")
    places = [(_CELL * (number % 8), _CELL * (number // 8)) for number in range(len(files))]
    pictures = "".join(
        f'<img src="{file.as_uri()}" style="position:absolute;left:{x}px;top:{y}px">'
        for file, (x, y) in zip(files, places, strict=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(f'<!doctype html><body style="margin:0;background:white">{pictures}')
        # The window is higher than what is in it, for a part of it is not the page's.
        size = f"{8 * _CELL},{places[-1][1] + 4 * _CELL}"
        switches = ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "force-color-profile=srgb")
        given = (*switches, f"user-data-dir={folder}/profile", f"window-size={size}", f"screenshot={shot}")
        command = [program, *(f"--{switch}" for switch in given), page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with Image.open(shot) as image:
            shown = np.asarray(image.convert("RGB"))
    return [shown[y : y + _CELL, x : x + _CELL] for x, y in places]


def show_in_imagemagick(file: Path, *, managed: bool = False) -> UInt8Array:
    """The pixels of a file's first picture on white, uint8 H x W x 3; `managed` applies its profile."""
    program = _imagemagick()
    if program is None:
        pytest.skip("needs ImageMagick")
    with tempfile.TemporaryDirectory() as folder:
        srgb = Path(folder, "srgb.icc")
        srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        to_srgb = ["-profile", str(srgb)] if managed else []
        onto_white = ["-auto-orient", *to_srgb, "-background", "white", "-alpha", "remove", "-alpha", "off"]
        command = [program, f"{file}[0]", *onto_white, "-depth", "8", "-colorspace", "sRGB", "ppm:-"]
        shown = subprocess.run(command, check=True, capture_output=True).stdout
    return np.asarray(Image.open(BytesIO(shown)).convert("RGB"))


def show_in_vips(file: Path) -> UInt8Array:
    """The pixels of a file's first picture on white by its profile, uint8 H x W x 3."""
    program = shutil.which("vips")
    if program is None:
        pytest.skip("needs libvips (the command vips)")
    with tempfile.TemporaryDirectory() as folder:
        turned, managed, shown = (Path(folder, name) for name in ("turned.v", "managed.v", "shown.png"))
        subprocess.run([program, "autorot", file, turned], check=True, capture_output=True)
        with_profile: list[str | Path] = [program, "icc_transform", turned, managed, "srgb", "--embedded"]
        if subprocess.run(with_profile, capture_output=True).returncode:  # it has none
            subprocess.run([program, "colourspace", turned, managed, "srgb"], check=True, capture_output=True)
        flat: list[str | Path] = [
            program,
            "pngsave",
            managed,
            shown,
            "--background",
            "255",
            "--bitdepth",
            "8",
            "--strip",
        ]
        subprocess.run(flat, check=True, capture_output=True)
        with Image.open(shown) as image:
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image.convert("RGBA"))
            return np.asarray(white.convert("RGB"))


@cache
def _imagemagick() -> str | None:
    for name in _MAGICK:
        # Other programs have the name "convert" too.
        program = shutil.which(name)
        if program and b"ImageMagick" in subprocess.run([program, "-version"], capture_output=True).stdout[:40]:
            return program
    return None
