from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stored_photograph import distance, grey, photograph, read_pixels

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture

PIXELS = photograph()
KINDS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "baseline": (PIXELS, {"quality": 90}),
    "whole colours": (PIXELS, {"quality": 95, "subsampling": 0}),
    "progressive": (PIXELS, {"quality": 90, "progressive": True}),
    "grey": (grey(PIXELS), {"quality": 90}),
    "progressive grey": (grey(PIXELS), {"quality": 75, "progressive": True}),
    "optimized": (PIXELS, {"quality": 30, "optimize": True}),
    "restarts": (PIXELS, {"quality": 90, "restart_marker_rows": 1}),
    "CMYK": (np.dstack([PIXELS, PIXELS[..., 0]]), {"quality": 90}),
    "not in whole blocks": (PIXELS[:-3, :-5], {"quality": 90}),
}


def jpeg(kind: str) -> bytes:
    samples, options = KINDS[kind]
    stream = io.BytesIO()
    image = Image.fromarray(samples, "CMYK") if samples.shape[2:] == (4,) else Image.fromarray(samples)
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_alone_may_be_missing(tmp_path: Path, kind: str, missing: int) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    whole.write_bytes(jpeg(kind))
    cut.write_bytes(jpeg(kind)[:-missing])
    assert distance(read_pixels(cut), read_pixels(whole)) == 0
    smaller = read_picture(cut, at_least=16)
    assert distance(smaller, read_picture(whole, at_least=16)) == 0
    assert smaller.size < read_picture(cut).size


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_lacks_pixels_is_truncated(tmp_path: Path, kind: str) -> None:
    content = jpeg(kind)
    begin = content.index(b"\xff\xda") + 20
    for length in {*range(begin, len(content) - 8, 101), *range(len(content) - 40, len(content) - 8, 3)}:
        (tmp_path / "a.jpg").write_bytes(content[:length])
        with pytest.raises(UnreadableImage):
            read_picture(tmp_path / "a.jpg")


def test_a_progressive_file_that_ends_between_two_scans_is_truncated(tmp_path: Path) -> None:
    content = jpeg("progressive")
    scans = [at for at in range(len(content)) if content[at : at + 2] in (b"\xff\xda", b"\xff\xc4")]
    between = [at for at in scans if at > content.index(b"\xff\xda")]
    assert len(between) > 5
    for at in between:
        (tmp_path / "a.jpg").write_bytes(content[:at])
        with pytest.raises(UnreadableImage, match="truncated"):
            read_picture(tmp_path / "a.jpg")


def test_the_last_bytes_of_a_large_picture_may_be_missing_too(tmp_path: Path) -> None:
    Image.new("L", (5_000, 4_000), 99).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:-2])
    assert read_picture(tmp_path / "a.jpg", at_least=300).getpixel((9, 9)) == (99, 99, 99)
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_picture(tmp_path / "a.jpg", at_least=300)


@pytest.mark.parametrize("kind", ["jpg", "webp", "avif", "png"])
def test_xmp_does_not_turn_a_picture_and_exif_beside_it_does(tmp_path: Path, kind: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    path = tmp_path / f"a.{kind}"
    options: dict[str, Any] = {"xmp": xmp}
    if kind == "png":
        from PIL.PngImagePlugin import PngInfo

        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    image = Image.fromarray(PIXELS)
    image.save(path, **options)
    assert distance(read_pixels(path), PIXELS) < 8
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(path, exif=exif.tobytes(), **options)
    assert distance(read_pixels(path), PIXELS[::-1, ::-1]) < 8
