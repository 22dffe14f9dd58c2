"""What capcli reads is what Chromium, ImageMagick and libvips show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from colour_spaces import SPACES, cmyk_profile, grey_profile
from PIL import Image
from png_files import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, chunk, gamma, png, primaries, profile, transparent
from stored_photograph import distance, grey, photograph, read_pixels
from viewers import show_in_chromium, show_in_imagemagick, show_in_vips

# pytest puts its own warning filters in the place of those that capcli sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

PIXELS = photograph()
LEVELS = grey(PIXELS)
DEEP, DEEP_LEVELS = PIXELS.astype(np.uint16) * 257, LEVELS.astype(np.uint16) * 257
RAMP = np.tile(np.linspace(0, 255, LEVELS.shape[1]).astype(np.uint8), (LEVELS.shape[0], 1))
PALE = Image.fromarray(PIXELS).quantize(64)
COLOURS = chunk(b"PLTE", bytes(PALE.getpalette()[:192]))
INDICES = np.asarray(PALE)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
NO_LOSS = {"jpg": {"quality": 97, "subsampling": 0}, "webp": {"lossless": True}, "avif": {"quality": 97}, "png": {}}


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def code(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def cut(content: bytes, missing: int) -> bytes:
    return content[:-missing]


PNGS: dict[str, bytes] = {
    "8-bit": png(PIXELS, RGB, 8),
    "16-bit": png(DEEP, RGB, 16),
    "16-bit grey": png(DEEP_LEVELS, GREY, 16),
    "gamma": png(PIXELS, RGB, 8, gamma(1)),
    "gamma of an old Macintosh": png(PIXELS, RGB, 8, gamma(1 / 1.8)),
    "gamma of a screen": png(PIXELS, RGB, 8, gamma(1 / 2.2)),
    "gamma, grey with alpha": png(np.dstack([LEVELS, RAMP]), GREY_ALPHA, 8, gamma(1)),
    "gamma, palette": png(INDICES, PALETTE, 8, gamma(1), COLOURS),
    "gamma beside sRGB": png(PIXELS, RGB, 8, gamma(1), chunk(b"sRGB", b"\0")),
    "gamma and primaries": png(
        PIXELS, RGB, 8, gamma(1 / 2.2), primaries(0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    ),
    "P3 by code points": png(PIXELS, RGB, 8, code(12, 13)),
    "linear by code points": png(PIXELS, RGB, 8, code(1, 8)),
    "code points beside a profile": png(PIXELS, RGB, 8, code(12, 13), profile(SPACES["adobe"].profile)),
    "16-bit with a profile": png(DEEP, RGB, 16, profile(SPACES["adobe"].profile)),
    "16-bit with alpha and a profile": png(
        np.dstack([DEEP, RAMP.astype(int) * 257]), RGB_ALPHA, 16, profile(SPACES["adobe"].profile)
    ),
    "grey with a profile": png(LEVELS, GREY, 8, profile(grey_profile(1.0))),
    "grey with a profile of RGB": png(LEVELS, GREY, 8, profile(SPACES["prophoto"].profile)),
    "RGB with a profile of grey": png(PIXELS, RGB, 8, profile(grey_profile(1.0))),
    "RGB with a profile of CMYK": png(PIXELS, RGB, 8, profile(cmyk_profile())),
    "broken profile": png(PIXELS, RGB, 8, profile(b"nothing" * 50)),
    "palette, profile, transparency": png(
        INDICES, PALETTE, 8, profile(SPACES["adobe"].profile), COLOURS, chunk(b"tRNS", bytes(range(0, 256, 4)))
    ),
    "more transparency than colours": png(INDICES, PALETTE, 8, COLOURS, chunk(b"tRNS", bytes(range(40, 240)))),
    "transparent grey of 16 bits": png(DEEP_LEVELS, GREY, 16, transparent(int(DEEP_LEVELS[9, 60]))),
    "transparent grey of 4 bits": png(LEVELS >> 4, GREY, 4, transparent(3)),
    "transparent grey of 2 bits": png(LEVELS >> 6, GREY, 2, transparent(1)),
    "transparent grey of 1 bit": png(LEVELS >> 7, GREY, 1, transparent(0)),
    "transparent colour of 16 bits": png(DEEP, RGB, 16, transparent(*map(int, DEEP[5, 5]))),
    "wrong checksum of a text": png(PIXELS, RGB, 8, chunk(b"tEXt", b"a\0b", sound=False)),
    "wrong checksum of a gamma": png(PIXELS, RGB, 8, chunk(b"gAMA", bytes([0, 1, 134, 160]), sound=False)),
    "wrong checksum of a profile": png(
        PIXELS, RGB, 8, chunk(b"iCCP", profile(SPACES["prophoto"].profile)[8:-4], sound=False)
    ),
    "long text": png(PIXELS, RGB, 8, chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000)),
    "no end": cut(png(PIXELS, RGB, 8), 12),
    "EXIF": png(PIXELS, RGB, 8, chunk(b"eXIf", turned(6).removeprefix(b"Exif\0\0"))),
    "XMP": png(PIXELS, RGB, 8, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
}
"""For Chromium alone: ImageMagick and libvips apply neither gamma nor code points."""


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the kinds that Chromium shows."""
    folder = tmp_path_factory.mktemp("album")
    for number, content in enumerate(PNGS.values()):
        (folder / f"{number:02}.png").write_bytes(content)
    image = Image.fromarray(PIXELS)
    for kind, options in NO_LOSS.items():
        for name, space in SPACES.items():
            image.save(folder / f"{name}.{kind}", icc_profile=space.profile, **options)
        if kind != "png":
            image.save(folder / f"exif.{kind}", exif=turned(8 if kind != "webp" else 1), **options)
            image.save(folder / f"xmp.{kind}", xmp=XMP, **options)
    Image.fromarray(LEVELS).save(folder / "grey.jpg", icc_profile=grey_profile(1.0))
    Image.fromarray(LEVELS).save(folder / "grey by rgb.jpg", icc_profile=SPACES["prophoto"].profile)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=97)
    image.convert("CMYK").save(folder / "cmyk by rgb.jpg", quality=97, icc_profile=SPACES["prophoto"].profile)
    image.save(folder / "broken.jpg", icc_profile=SPACES["prophoto"].profile[:300])
    avif = (folder / "xmp.avif").read_bytes()
    at = avif.index(b"nclx") + 4
    for primaries_and_transfer in ((12, 13), (1, 8), (1, 1), (6, 6), (2, 2)):
        codes = bytes([0, primaries_and_transfer[0], 0, primaries_and_transfer[1]])
        name = "codes {} {}.avif".format(*primaries_and_transfer)
        (folder / name).write_bytes(avif[:at] + codes + avif[at + 4 :])
    return folder


@pytest.mark.browser
def test_pictures_look_as_in_chromium(album: Path) -> None:
    files = sorted(album.iterdir())
    cases = dict(zip((f"{number:02}.png" for number in range(len(PNGS))), PNGS, strict=True))
    far = {}
    for file, shown in zip(files, show_in_chromium(files), strict=True):
        ours = read_pixels(file)
        height, width = ours.shape[:2]
        # Chromium cuts 16 bits to 8 before it applies a gamma.
        if (apart := distance(ours, shown[:height, :width])) > 1.5 or not (shown[height:] == 255).all():
            far[cases.get(file.name, file.name)] = round(apart, 2)
    assert not far


def tiff(path: Path, samples: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, samples, **options)


def deep(pixels: np.ndarray, top: float, dtype: str) -> np.ndarray:
    samples = pixels / 255 * top
    return (samples if np.dtype(dtype).kind == "f" else np.rint(samples)).astype(dtype)


APART = np.moveaxis(DEEP, -1, 0)
TIFFS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "16-bit": (DEEP, {"photometric": "rgb"}),
    "16-bit, big-endian": (DEEP.astype(">u2"), {"photometric": "rgb", "byteorder": ">"}),
    "16-bit, LZW": (DEEP, {"photometric": "rgb", "compression": "lzw", "predictor": True}),
    "16-bit, tiles": (DEEP, {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}),
    "16-bit, channels apart": (APART, {"photometric": "rgb", "planarconfig": "separate"}),
    "16-bit, channels apart, LZW": (APART, {"photometric": "rgb", "planarconfig": "separate", "compression": "lzw"}),
    "16-bit grey": (DEEP_LEVELS, {"photometric": "minisblack"}),
    "16-bit grey, white is 0": (DEEP_LEVELS, {"photometric": "miniswhite"}),
    "16-bit grey, white is 0, big-endian": (DEEP_LEVELS.astype(">u2"), {"photometric": "miniswhite", "byteorder": ">"}),
    "16-bit grey, white is 0, LZW": (DEEP_LEVELS, {"photometric": "miniswhite", "compression": "lzw"}),
    "8-bit grey, white is 0": (LEVELS, {"photometric": "miniswhite"}),
    "16-bit grey with alpha": (
        np.dstack([DEEP_LEVELS, RAMP.astype(np.uint16) * 257]),
        {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
    ),
    "palette of bytes": (
        INDICES, {"photometric": "palette", "colormap": np.resize(np.array(PALE.getpalette(), np.uint16), (256, 3)).T}
    ),
    "profile": (PIXELS, {"photometric": "rgb", "iccprofile": SPACES["prophoto"].profile}),
    "16-bit, profile": (DEEP, {"photometric": "rgb", "iccprofile": SPACES["adobe"].profile}),
    "16-bit grey, profile": (DEEP_LEVELS, {"photometric": "minisblack", "iccprofile": grey_profile(1.0)}),
    "XMP": (PIXELS, {"photometric": "rgb", "extratags": [(700, 1, len(XMP), XMP, True)]}),
    "turned": (DEEP_LEVELS, {"photometric": "miniswhite", "extratags": [(274, 3, 1, 6, True)]}),
}  # fmt: skip
WIDE: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "16-bit with alpha": (
        np.dstack([DEEP, RAMP.astype(np.uint16) * 257]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    ),
    "32-bit": (deep(PIXELS, 2**32 - 1, "u4"), {"photometric": "rgb"}),
    "32-bit grey": (deep(LEVELS, 2**32 - 1, "u4"), {"photometric": "minisblack"}),
    "12-bit grey": (deep(LEVELS, 4095, "u2"), {"photometric": "minisblack", "bitspersample": 12}),
    "floats": (deep(PIXELS, 1, "f4"), {"photometric": "rgb"}),
    "floats, predicted": (deep(PIXELS, 1, "f4"), {"photometric": "rgb", "compression": "zlib", "predictor": True}),
    "floats above 1": (deep(LEVELS, 1.5, "f4"), {"photometric": "minisblack"}),
    "16-bit CMYK": (np.dstack([65535 - DEEP, np.zeros_like(DEEP_LEVELS)]), {"photometric": "separated"}),
    "Lab": (np.asarray(Image.fromarray(PIXELS).convert("LAB")), {"photometric": "cielab"}),
}
"""Those of which libvips takes the samples for others, or refuses them."""


@pytest.mark.parametrize("name", {**TIFFS, **WIDE})
def test_tiffs_look_as_in_imagemagick(tmp_path: Path, name: str) -> None:
    samples, options = {**TIFFS, **WIDE}[name]
    tiff(tmp_path / "a.tif", samples, **options)
    shown = show_in_imagemagick(tmp_path / "a.tif", managed="iccprofile" in options)
    assert distance(read_pixels(tmp_path / "a.tif"), shown) < 1.5


@pytest.mark.parametrize("name", TIFFS)
def test_tiffs_look_as_in_vips(tmp_path: Path, name: str) -> None:
    samples, options = TIFFS[name]
    tiff(tmp_path / "a.tif", samples, **options)
    assert distance(read_pixels(tmp_path / "a.tif"), show_in_vips(tmp_path / "a.tif")) < 1


@pytest.mark.parametrize("kind", ["jpg", "tif"])
@pytest.mark.parametrize("show", [show_in_vips, lambda file: show_in_imagemagick(file, managed=True)])
def test_cmyk_with_a_profile_looks_as_elsewhere(tmp_path: Path, kind: str, show: Callable[[Path], np.ndarray]) -> None:
    path = tmp_path / f"a.{kind}"
    image = Image.fromarray(PIXELS).convert("CMYK")
    image.save(path, icc_profile=cmyk_profile(), **({"quality": 97} if kind == "jpg" else {}))
    assert distance(read_pixels(path), show(path)) < 2.5


@pytest.mark.parametrize("name", SPACES)
def test_heic_with_a_profile_looks_as_in_vips(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    Image.fromarray(PIXELS).save(path, icc_profile=SPACES[name].profile, quality=95)
    assert distance(read_pixels(path), show_in_vips(path)) < 1


def test_a_jpeg_without_its_end_looks_as_in_imagemagick(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    shown = show_in_imagemagick(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-2])
    assert distance(read_pixels(tmp_path / "a.jpg"), shown) < 1
