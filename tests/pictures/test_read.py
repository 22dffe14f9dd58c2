from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture, to_array, upright_rgb, upright_size
from capcli.pictures.refusal import MAX_PIXELS

# pytest puts its own warning filters in the place of those that capcli sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

RED, WHITE = (255, 0, 0), (255, 255, 255)


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """Red top left corner on a smooth ground, so that any turn and any loss shows."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    pixels[: height // 3, : width // 3] = RED
    return Image.fromarray(pixels)


def difference(a: Image.Image, b: Image.Image) -> float:
    assert a.size == b.size
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


def reason(path: object) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_picture(path)  # type: ignore[arg-type]
    assert caught.value.path == path
    assert "\n" not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "gif", "webp", "avif", "jpg", "jp2", "tga", "qoi"])
def test_formats(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"scene.{kind}"
    scene().save(path)
    picture = read_picture(path)
    assert picture.mode == "RGB"
    assert difference(picture, scene()) < 6


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "scene.jpg"
    scene().save(path, "PNG")
    assert difference(read_picture(path), scene()) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tiff", "webp", "avif", "heic"])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    if kind == "heic":
        pytest.importorskip("pillow_heif")
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene().transpose(back[orientation]) if orientation > 1 else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{kind}"
    # As bytes, because only in them pillow-heif finds the turn, which a HEIC holds a second time outside its EXIF.
    stored.save(path, exif=exif.tobytes())
    assert difference(read_picture(path), scene()) < 6
    assert upright_size(path) == scene().size


def test_damaged_exif_does_not_lose_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "exif.jpg"
    scene().save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    assert difference(read_picture(path), scene()) < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_transparency_is_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 2), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 2, 2))
    via = {"RGBa": "RGBA", "La": "LA"}.get(mode, mode)
    rgb = upright_rgb(image.convert(via) if via == mode else image.convert(via).convert(mode))
    assert rgb.mode == "RGB"
    assert rgb.getpixel((0, 0)) == WHITE
    assert rgb.getpixel((3, 0)) != WHITE


def test_half_transparent_black_on_white_is_grey() -> None:
    assert upright_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == pytest.approx((127,) * 3, abs=1)


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((1, 0), 1)
    for kind in ("png", "gif"):
        image.save(tmp_path / f"p.{kind}", transparency=0)
        rgb = read_picture(tmp_path / f"p.{kind}")
        assert [rgb.getpixel((x, 0)) for x in (0, 1)] == [WHITE, RED]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_other_modes_become_rgb(mode: str) -> None:
    rgb = upright_rgb(scene().convert(mode))
    assert rgb.mode == "RGB"
    assert rgb.size == scene().size


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    scene().convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert difference(read_picture(tmp_path / "cmyk.jpg"), scene()) < 8


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
def test_16_bit_is_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    samples = np.array([[0, 257, 257 * 100, 65535]], dtype=np.uint16)
    Image.fromarray(samples).save(tmp_path / f"deep.{kind}")
    rgb = read_picture(tmp_path / f"deep.{kind}")
    assert np.asarray(rgb)[0].tolist() == [[v] * 3 for v in (0, 1, 100, 255)]


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_every_16_bit_mode_is_scaled(mode: str) -> None:
    dtype = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (3, 1), np.array([[0, 25700, 65535]], dtype=dtype).tobytes())
    assert np.asarray(upright_rgb(image))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("top", [1, 255, 4095, 65535, 1e6])
def test_float_samples_are_scaled_by_the_range_they_need(top: float) -> None:
    image = Image.fromarray(np.array([[0, top / 2, top, np.nan]], dtype=np.float32))
    assert np.asarray(upright_rgb(image))[0, :, 0].tolist() == [0, pytest.approx(127.5, abs=0.5), 255, 0]


def test_float_samples_a_little_above_1_are_white() -> None:
    image = Image.fromarray(np.array([[0, 0.5, 0.2, 1, 1.5, np.inf]], dtype=np.float32))
    assert np.asarray(upright_rgb(image))[0, :, 0].tolist() == [0, 128, 51, 255, 255, 255]


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    for kind in ("gif", "webp", "png"):
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
        path = tmp_path / f"moving.{kind}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "webp" else {}))
        assert read_picture(path).getpixel((4, 4)) == RED


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), "red").save(path)
    picture = read_picture(path, at_least=300)
    assert picture.size == (1, 1)
    assert (to_array(picture, 16) == RED).all()


@pytest.mark.parametrize("size", [(640, 480), (481, 1000), (100, 2000), (60, 50)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_jpeg_is_decoded_smaller_but_never_too_small(tmp_path: Path, size: tuple[int, int], turned: bool) -> None:
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    scene(*size).save(path, quality=95, exif=exif)
    whole, reduced = read_picture(path), read_picture(path, at_least=60)
    assert min(reduced.size) >= min(60, *size)
    assert (reduced.width < whole.width) == (min(size) >= 120)
    assert np.abs(to_array(reduced, 60).astype(int) - to_array(whole, 60)).mean() < 2


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif", "gif", "bmp", "ppm", "qoi"])
def test_the_size_is_told_without_decoding(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"wide.{kind}"
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = kind in ("jpg", "png", "webp", "avif")
    scene().save(path, **({"exif": exif} if turned else {}))

    def load(image: Image.Image) -> None:
        raise AssertionError("decoded")

    for plugin in (ImageFile.ImageFile, *ImageFile.ImageFile.__subclasses__()):
        monkeypatch.setattr(plugin, "load", load)
    assert upright_size(path) == ((48, 64) if turned else (64, 48))


@pytest.mark.parametrize("kind", ["tiff", "jp2", "tga", "pcx", "sgi", "dds", "ico", "icns"])
def test_formats_that_tell_their_size_late_are_measured_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"scene.{kind}"
    scene(64, 64 if kind == "icns" else 48).save(path)
    assert upright_size(path) == read_picture(path).size


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


@pytest.mark.parametrize("kind", ["eXIf", "zTXt"])
def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    raw = f"\nexif\n{len(block)}\n{block.hex()}\n".encode()
    late = {"eXIf": block, "zTXt": b"Raw profile type exif\0\0" + zlib.compress(raw)}[kind]
    scene().save(tmp_path / "a.png")
    png = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(png[:-12] + chunk(kind.encode(), late) + png[-12:])
    assert read_picture(tmp_path / "a.png").size == (48, 64)
    assert upright_size(tmp_path / "a.png") == (48, 64)


def test_xmp_behind_the_pixels_of_a_png_does_not_turn_it(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    png = (tmp_path / "a.png").read_bytes()
    late = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="8"/>')
    (tmp_path / "a.png").write_bytes(png[:-12] + late + png[-12:])
    assert difference(read_picture(tmp_path / "a.png"), scene()) == 0
    assert upright_size(tmp_path / "a.png") == scene().size


def test_a_jpeg_too_large_to_decode_whole_has_a_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    resized_jpeg(path, 12_000)
    assert upright_size(path) == (12_000, 12_000)


def test_what_is_no_picture_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("text")
    for name, why in [("empty.jpg", "is empty"), ("text.png", "is not a picture"), ("gone.png", "does not exist")]:
        with pytest.raises(UnreadableImage, match=why):
            upright_size(tmp_path / name)


def test_to_array_squashes_without_cropping() -> None:
    image = Image.new("RGB", (300, 20), "white")
    image.paste(RED, (0, 0, 150, 20))
    array = to_array(image, 10)
    assert array.dtype == np.uint8
    assert array.shape == (10, 10, 3)
    assert (array[:, 1] == RED).all()
    assert (array[:, 8] == WHITE).all()


def test_to_array_is_close_to_one_fair_resize() -> None:
    image = scene(1013, 757)
    fair = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC), dtype=int)
    assert np.abs(to_array(image, 64) - fair).mean() < 1


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert reason(tmp_path / "absent.jpg") == "does not exist"
    assert reason(str(tmp_path / "absent.jpg")) == "does not exist"
    assert reason("") == "does not exist"
    assert "null" in reason("a\0b.jpg")


def test_folders_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    assert reason(tmp_path) == "is a folder"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "is not a regular file"
    assert reason(Path(os.devnull)) == "is not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    scene().save(path)
    path.chmod(0)
    assert "permission denied" in reason(path)


def test_an_empty_file_and_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "is empty (0 bytes)"
    (tmp_path / "text.jpg").write_text("This is no picture.\n" * 20)
    assert reason(tmp_path / "text.jpg") == "is not a picture capcli can read"


def test_postscript_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert reason(tmp_path / "a.eps") == "is not a picture capcli can read (drawings: export them as PNG)"


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif", "bmp", "tiff", "avif"])
def test_a_truncated_file(tmp_path: Path, kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    whole = tmp_path / f"whole.{kind}"
    noise.save(whole)
    half = tmp_path / f"half.{kind}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert reason(half)
    if kind == "jpg":
        assert reason(half) == "is truncated"
        with pytest.raises(UnreadableImage):
            read_picture(half, at_least=16)


@pytest.mark.parametrize(("name", "kind"), [("a.cr2", "raw files"), ("a.jxl", "JPEG XL"), ("a.svg", "drawings")])
def test_a_file_of_a_kind_that_is_left_out_in_folders_gives_the_same_reason(
    tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / name).write_bytes(b"\xff\x0a nothing that Pillow reads")
    assert reason(tmp_path / name).startswith(f"is not a picture capcli can read ({kind}")


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000", "AVIF"]), data=st.data())
def test_damage_of_any_kind_gives_a_picture_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    stream = io.BytesIO()
    scene(16, 16).save(stream, kind)
    content = bytearray(stream.getvalue())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.jpg"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read_picture(path, at_least=8).mode == "RGB"
    except UnreadableImage as error:
        assert error.reason


def blank_png(path: Path, width: int, height: int) -> None:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def resized_jpeg(path: Path, side: int, **options: object) -> None:
    """A small JPEG whose header claims another size."""
    stream = io.BytesIO()
    scene(16, 16).save(stream, "JPEG", **options)
    content = bytearray(stream.getvalue())
    at = content.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", side, side)
    path.write_bytes(content)


def test_a_picture_of_too_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    for width, height in ((12_000, 12_000), (20_000, 20_000), (100_000, 100_000)):
        blank_png(path, width, height)
        assert f"{MAX_PIXELS:,}" in reason(path)
    resized_jpeg(path, 20_000)
    assert "20000 x 20000" in reason(path)


def test_a_huge_jpeg_is_measured_by_what_decoding_takes(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    resized_jpeg(path, 60_000, progressive=True)
    with pytest.raises(UnreadableImage, match="60000 x 60000"):
        read_picture(path, at_least=300)
    resized_jpeg(path, 12_000)
    with pytest.raises(UnreadableImage, match="12000 x 12000"):
        read_picture(path)
    assert read_picture(path, at_least=300).size == (1_500, 1_500)


def test_heic_of_several_bit_depths_and_with_transparency(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    deep = np.asarray(scene()).astype(np.uint16) * 257
    pillow_heif.encode("RGB;16", scene().size, deep.tobytes(), tmp_path / "deep.heic", quality=90)
    assert difference(read_picture(tmp_path / "deep.heic"), scene()) < 6
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.heic")
    assert read_picture(tmp_path / "clear.heic").getpixel((32, 32)) == WHITE


@pytest.mark.parametrize(
    ("brands", "heic"),
    [(b"heic\0\0\0\0mif1heic", True), (b"mif1\0\0\0\0mif1heix", True), (b"mif1\0\0\0\0mif1avif", False)],
)
def test_heic_without_its_plugin_says_what_to_install(tmp_path: Path, brands: bytes, heic: bool) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"heic" * 9)
    program = (
        "import sys\n"
        "sys.modules['pillow_heif'] = None\n"
        "from capcli.pictures.read import read_picture, UnreadableImage\n"
        "try: read_picture(sys.argv[1])\n"
        "except UnreadableImage as error: print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    named = 'is a HEIC picture, which needs pillow-heif: pip install "capcli[heic]"\n'
    assert (done.stdout, done.stderr) == (named if heic else "is not a picture capcli can read\n", "")


def test_pillow_warns_nobody(tmp_path: Path) -> None:
    blank_png(tmp_path / "wide.png", 10_000, 10_000)  # Pillow warns from 89 million pixels on
    scene().save(tmp_path / "whole.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:-20])
    program = (
        "import sys\n"
        "from capcli.pictures.read import read_picture, UnreadableImage\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_picture(path)\n"
        "    except UnreadableImage as error: print(error)\n"
    )
    paths = [str(tmp_path / name) for name in ("wide.png", "cut.tif")]
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""
