from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from colour_spaces import SPACES, cmyk_profile
from PIL import Image
from stored_photograph import distance, grey, photograph, read_pixels

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture, upright_size

# pytest puts its own warning filters in the place of those that capcli sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

PIXELS = photograph()
LEVELS = grey(PIXELS)
COMPRESSIONS = [
    {},
    {"compression": "lzw"},
    {"compression": "lzw", "predictor": True},
    {"compression": "zlib", "predictor": True},
    {"compression": "zstd"},
    {"compression": "packbits"},
]
LAYOUTS = [{}, {"tile": (32, 32)}, {"rowsperstrip": 5}, {"bigtiff": True}]


def names(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items()) or "plain"


def scaled(pixels: np.ndarray, dtype: str, top: float) -> np.ndarray:
    """Samples of a type whose white is `top`."""
    samples = pixels / 255 * top
    return (samples if np.dtype(dtype).kind == "f" else np.rint(samples)).astype(dtype)


def reason(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_picture(path)
    return caught.value.reason


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=names)
@pytest.mark.parametrize("layout", LAYOUTS, ids=names)
@pytest.mark.parametrize("order", "<>")
def test_white_may_be_the_least_16_bit_sample(
    tmp_path: Path, compression: dict[str, Any], layout: dict[str, Any], order: Any
) -> None:
    samples = scaled(255 - LEVELS, f"{order}u2", 65535)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, photometric="miniswhite", byteorder=order, **compression, **layout)
    assert distance(read_pixels(path), LEVELS) == 0


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=names)
@pytest.mark.parametrize("layout", LAYOUTS, ids=names)
@pytest.mark.parametrize("order", "<>")
def test_the_channels_of_16_bit_rgb_may_lie_apart(
    tmp_path: Path, compression: dict[str, Any], layout: dict[str, Any], order: Any
) -> None:
    samples = np.moveaxis(scaled(PIXELS, f"{order}u2", 65535), -1, 0)
    path = tmp_path / "a.tif"
    options = {"photometric": "rgb", "planarconfig": "separate", "byteorder": order}
    tifffile.imwrite(path, samples, **options, **compression, **layout)
    assert distance(read_pixels(path), PIXELS) == 0


def packed_tiff(samples: np.ndarray, bits: int, order: str, photometric: int) -> bytes:
    """A TIFF of grey samples that are packed, in either order of the bytes of its numbers."""
    width = samples.shape[1]
    unpacked = np.unpackbits(samples.astype(">u2").view(np.uint8).reshape(-1, width, 2), axis=-1)[..., 16 - bits :]
    strip = np.packbits(unpacked.reshape(len(samples), -1), axis=1).tobytes()
    strip_at = 8 + 2 + 12 * 9 + 4
    tags = [(256, width), (257, len(samples)), (258, bits), (259, 1), (262, photometric), (273, strip_at), (277, 1)]
    tags += [(278, len(samples)), (279, len(strip))]
    entries = b"".join(struct.pack(f"{order}HHII", code, 4, 1, value) for code, value in tags)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4) + strip


@pytest.mark.parametrize("bits", [2, 4, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_of_any_number_of_bits_is_scaled(tmp_path: Path, bits: int, order: str, photometric: int) -> None:
    samples = scaled(LEVELS, "u2", 2**bits - 1)
    stored = samples.byteswap() if (bits, order) == (16, "<") else samples
    (tmp_path / "a.tif").write_bytes(packed_tiff(stored, bits, order, photometric))
    shown = samples / (2**bits - 1) * 255
    assert distance(read_pixels(tmp_path / "a.tif"), np.rint(shown if photometric == 1 else 255 - shown)) < 0.01


@pytest.mark.parametrize("bits", [10, 12])
def test_rgb_of_12_bits_is_scaled(tmp_path: Path, bits: int) -> None:
    samples = scaled(PIXELS, "u2", 2**bits - 1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", bitspersample=bits)
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) < 0.01


@pytest.mark.parametrize("dtype", ["u4", ">u4", "u8", "u2", ">u2"])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
@pytest.mark.parametrize("compression", [{}, {"compression": "lzw"}, {"compression": "zlib"}], ids=names)
def test_unsigned_samples_go_to_the_most_that_their_bits_hold(
    tmp_path: Path, dtype: str, channels: str, compression: dict[str, Any]
) -> None:
    pixels = PIXELS if channels == "rgb" else LEVELS
    samples = scaled(pixels, dtype, float(np.iinfo(dtype).max) * (1 - 2**-50))
    order: Any = ">" if dtype.startswith(">") else "<"
    photometric: Any = "rgb" if channels == "rgb" else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, byteorder=order, **compression)
    assert distance(read_pixels(tmp_path / "a.tif"), pixels) < 0.01


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", ">i2"])
def test_signed_samples_go_from_the_lowest_to_the_highest(tmp_path: Path, dtype: str) -> None:
    lowest, highest = int(np.iinfo(dtype).min) // 2, int(np.iinfo(dtype).max) // 2
    samples = np.rint(lowest + (LEVELS / 255) * (highest - lowest)).astype(dtype)
    order: Any = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", byteorder=order)
    least, most = float(LEVELS.min()), float(LEVELS.max())
    assert distance(read_pixels(tmp_path / "a.tif"), (LEVELS - least) * 255 / (most - least)) < 1.2
    tifffile.imwrite(tmp_path / "flat.tif", np.full((8, 8), 5, dtype))
    assert (read_pixels(tmp_path / "flat.tif") == 0).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
@pytest.mark.parametrize(
    "compression",
    [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"compression": "lzw", "predictor": 3}],
    ids=names,
)
def test_the_white_of_floats_is_1_and_what_is_above_is_white_too(
    tmp_path: Path, dtype: str, channels: str, compression: dict[str, Any]
) -> None:
    pixels = PIXELS if channels == "rgb" else LEVELS
    order: Any = ">" if dtype.startswith(">") else "<"
    photometric: Any = "rgb" if channels == "rgb" else "minisblack"
    for top in (1.0, 1.5, 3.0):
        samples = scaled(pixels, dtype, top)
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, byteorder=order, **compression)
        assert distance(read_pixels(tmp_path / "a.tif"), np.minimum(pixels * top, 255)) < 0.6


@pytest.mark.parametrize("top", [255.0, 4095.0, 65535.0, 1e6])
def test_floats_of_another_scale_are_no_white_picture(tmp_path: Path, top: float) -> None:
    samples = scaled(PIXELS, "f4", top / PIXELS.max() * 255)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb")
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS * 255.0 / PIXELS.max()) < 0.6


def test_floats_that_are_no_numbers_are_black_and_white(tmp_path: Path) -> None:
    samples = np.array([[np.nan, -np.inf, -3, 0, 0.5, 1, np.inf]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", samples)
    assert read_pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 0, 0, 0, 128, 255, 255]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_transparency_is_put_on_white(tmp_path: Path, dtype: str, channels: str, planar: Any) -> None:
    colour = PIXELS if channels == "rgb" else LEVELS[..., None]
    alpha = np.tile(np.linspace(0, 255, LEVELS.shape[1]), (LEVELS.shape[0], 1))[..., None]
    top = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    expected = colour * (alpha / 255) + 255 - alpha
    photometric: Any = "rgb" if channels == "rgb" else "minisblack"
    for kind, stored in (("unassalpha", colour), ("assocalpha", colour * (alpha / 255))):
        samples = scaled(np.dstack([stored, alpha]), dtype, top)
        if planar == "separate":
            samples = np.moveaxis(samples, -1, 0)
        options: Any = {"photometric": photometric, "planarconfig": planar, "extrasamples": [kind]}
        tifffile.imwrite(tmp_path / f"{kind}.tif", samples, **options)
        shown = read_pixels(tmp_path / f"{kind}.tif").astype(float)
        assert distance(shown, expected[..., 0] if channels == "grey" else expected) < 1.0


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_channels_that_mean_nothing_are_passed_over(tmp_path: Path, dtype: str) -> None:
    top = float(np.iinfo(dtype).max)
    samples = scaled(np.dstack([PIXELS, *[np.zeros_like(LEVELS)] * 4]), dtype, top)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=[0] * 4)
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) == 0


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_fourth_channel_of_which_nothing_is_said_is_transparency(tmp_path: Path, dtype: str) -> None:
    top = float(np.iinfo(dtype).max)
    samples = scaled(np.dstack([PIXELS, np.full_like(LEVELS, 51)]), dtype, top)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, photometric="rgb", extrasamples=["unassalpha"])
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags["ExtraSamples"]
        file.filehandle.seek(tag.offset)
        file.filehandle.write(struct.pack("<H", 60_000))  # a tag that nobody knows
    assert distance(read_pixels(path), PIXELS * 0.2 + 255 * 0.8) < 1


def test_a_jpeg_within_a_thumbnail_is_read(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SMALL, photometric="rgb", subifds=1, **REDUCED)
        file.write(PIXELS, photometric="rgb", compression="jpeg", compressionargs={"level": 97})
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) < 8


def test_deep_ycbcr_is_refused_and_not_taken_for_rgb(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", scaled(PIXELS, "u2", 65535), photometric="ycbcr")
    assert reason(tmp_path / "a.tif") == "is a TIFF of a kind that capcli does not know (photometric 6)"


def test_damage_behind_the_picture_does_not_lose_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pages(path, (scaled(PIXELS, "u2", 65535), {}), (SMALL, {}))
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    content = path.read_bytes()
    path.write_bytes(content[:second] + b"\xff" * 40)
    assert distance(read_pixels(path), PIXELS) == 0


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_three_grey_channels_are_colours(tmp_path: Path, dtype: str) -> None:
    top = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    samples = scaled(PIXELS, dtype, top)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig")
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) == 0


@pytest.mark.parametrize("scale", [1, 257])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_palettes_of_words_and_of_bytes(tmp_path: Path, scale: int, dtype: str) -> None:
    palette = Image.fromarray(PIXELS).quantize(200)
    colours = np.zeros((3, 256 if dtype == "u1" else 65536), np.uint16)
    known = np.array(palette.getpalette()).reshape(-1, 3)
    colours[:, : len(known)] = known.T * scale
    tifffile.imwrite(tmp_path / "a.tif", np.asarray(palette).astype(dtype), photometric="palette", colormap=colours)
    assert distance(read_pixels(tmp_path / "a.tif"), palette.convert("RGB")) == 0


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lab_becomes_rgb(tmp_path: Path, photometric: Any, bits: int) -> None:
    lab = np.array(Image.fromarray(PIXELS).convert("LAB"))  # a and b signed
    if photometric == "icclab":
        lab[..., 1:] ^= 128
    if bits == 16:
        deep = lab.astype(np.uint16)
        lab = np.dstack([deep[..., 0] * 257, deep[..., 1:] * 256]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric=photometric)
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) < 1.5


def test_16_bit_cmyk_becomes_rgb_by_its_profile_or_without(tmp_path: Path) -> None:
    inks = scaled(np.dstack([255 - PIXELS, np.zeros_like(LEVELS)]), "u2", 65535)
    tifffile.imwrite(tmp_path / "plain.tif", inks, photometric="separated")
    assert distance(read_pixels(tmp_path / "plain.tif"), PIXELS) == 0
    tifffile.imwrite(tmp_path / "deep.tif", inks, photometric="separated", iccprofile=cmyk_profile())
    Image.fromarray((inks >> 8).astype(np.uint8), "CMYK").save(tmp_path / "8.tif", icc_profile=cmyk_profile())
    assert distance(read_pixels(tmp_path / "deep.tif"), read_pixels(tmp_path / "8.tif")) < 0.1


@pytest.mark.parametrize("dtype", ["u2", "u4", "f4"])
def test_a_profile_is_applied_to_deep_samples(tmp_path: Path, dtype: str) -> None:
    space = SPACES["prophoto"]
    top = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    samples = scaled(PIXELS, dtype, top)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", iccprofile=space.profile)
    assert distance(read_pixels(tmp_path / "a.tif"), space.to_srgb(PIXELS / 255)) < 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_samples_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    samples = scaled(255 - LEVELS, "u2", 65535)
    path = tmp_path / "a.tif"
    tag = (274, 3, 1, orientation, True)
    tifffile.imwrite(path, samples, photometric="miniswhite", extratags=[tag])
    Image.fromarray(LEVELS).save(tmp_path / "8.png", exif=exif(orientation))
    assert distance(read_pixels(path), read_pixels(tmp_path / "8.png")) == 0
    assert upright_size(path) == read_picture(path).size


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></x>'


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_xmp_does_not_turn_a_tiff(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    samples = scaled(PIXELS, dtype, float(np.iinfo(dtype).max))
    tifffile.imwrite(path, samples, photometric="rgb", extratags=[(700, 1, len(XMP), XMP, True)])
    assert distance(read_pixels(path), PIXELS) == 0
    assert upright_size(path) == PIXELS.shape[1::-1]
    turned = (274, 3, 1, 8, True)
    tifffile.imwrite(path, samples, photometric="rgb", extratags=[(700, 1, len(XMP), XMP, True), turned])
    assert distance(read_pixels(path), np.rot90(PIXELS)) == 0


Page = tuple[np.ndarray, dict[str, Any]]


def write_pages(path: Path, *pages: Page) -> None:
    with tifffile.TiffWriter(path) as file:
        for samples, options in pages:
            file.write(samples, photometric="rgb", **options)


SMALL = PIXELS[::4, ::4]
REDUCED: dict[str, Any] = {"subfiletype": 1}


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("compression", [{}, {"compression": "lzw"}, {"compression": "zlib"}], ids=names)
def test_a_first_page_that_says_it_is_a_thumbnail_is_passed_over(
    tmp_path: Path, dtype: str, compression: dict[str, Any]
) -> None:
    whole = scaled(PIXELS, dtype, float(np.iinfo(dtype).max))
    write_pages(tmp_path / "a.tif", (SMALL, REDUCED), (whole, compression), (whole[::2], {}))
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) == 0
    assert upright_size(tmp_path / "a.tif") == PIXELS.shape[1::-1]


def test_the_picture_may_be_a_page_within_the_thumbnail(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SMALL, photometric="rgb", subifds=1, **REDUCED)
        file.write(PIXELS, photometric="rgb")
        file.write(SMALL[::2], photometric="rgb")
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) == 0


def test_pages_that_say_nothing_are_pages_of_a_document(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", (SMALL, {}), (PIXELS, {}))
    assert distance(read_pixels(tmp_path / "a.tif"), SMALL) == 0
    deep = scaled(SMALL, "u2", 65535)
    write_pages(tmp_path / "deep.tif", (deep, {}), (PIXELS, {}))
    assert distance(read_pixels(tmp_path / "deep.tif"), SMALL) == 0


def test_small_copies_behind_the_picture_do_not_matter(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", (PIXELS, {}), (SMALL, REDUCED), (SMALL[::2], REDUCED))
    assert distance(read_pixels(tmp_path / "a.tif"), PIXELS) == 0


def test_where_all_pages_are_small_copies_it_is_the_first(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", (SMALL, REDUCED), (SMALL[::2], REDUCED))
    assert distance(read_pixels(tmp_path / "a.tif"), SMALL) == 0


def test_the_raw_data_of_a_camera_is_refused_in_place_of_its_thumbnail(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.dng") as file:
        file.write(SMALL, photometric="rgb", subifds=1, **REDUCED)
        pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
        file.write(scaled(LEVELS, "u2", 65535), photometric="cfa", extratags=pattern)
    assert reason(tmp_path / "a.dng") == "is the raw data of a camera; export it as JPEG"


def test_a_volume_gives_its_first_plane(tmp_path: Path) -> None:
    planes = np.stack([scaled(LEVELS, "u2", 65535), np.zeros_like(LEVELS, np.uint16)])
    tifffile.imwrite(tmp_path / "pages.tif", planes, photometric="minisblack")
    tifffile.imwrite(tmp_path / "volume.tif", planes, photometric="minisblack", volumetric=True, tile=(1, 16, 16))
    for name in ("pages", "volume"):
        assert distance(read_pixels(tmp_path / f"{name}.tif"), LEVELS) == 0


@pytest.mark.parametrize("compression", [{}, {"compression": "lzw"}, {"compression": "zlib"}], ids=names)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_what_is_cut_off_is_truncated(tmp_path: Path, compression: dict[str, Any], dtype: str) -> None:
    path = tmp_path / "a.tif"
    top = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    tifffile.imwrite(path, scaled(PIXELS, dtype, top), photometric="rgb", rowsperstrip=8, **compression)
    path.write_bytes(path.read_bytes()[:-40])
    assert "truncated" in reason(path) or "damaged" in reason(path)


@pytest.mark.parametrize(
    ("samples", "options", "why"),
    [
        (np.zeros((8, 8), np.complex64), {}, "complex"),
        (np.zeros((8, 8, 3), np.float32), {"photometric": "cielab"}, "Lab"),
    ],
)
def test_samples_that_make_no_picture_are_refused(
    tmp_path: Path, samples: np.ndarray, options: dict[str, Any], why: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    assert why in reason(tmp_path / "a.tif")


def claim(path: Path, samples: np.ndarray, width: int, height: int) -> None:
    """A small file that says it is a large one."""
    tifffile.imwrite(path, samples, photometric="rgb", compression="zlib", rowsperstrip=samples.shape[0])
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in (("ImageWidth", width), ("ImageLength", height), ("RowsPerStrip", height)):
            file.pages[0].tags[name].overwrite(value)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, dtype: str) -> None:
    claim(tmp_path / "a.tif", np.zeros((8, 8, 3), dtype), 60_000, 60_000)
    assert "pixels" in reason(tmp_path / "a.tif")
    claim(tmp_path / "a.tif", np.zeros((8, 8, 3), dtype), 12_000, 12_000)
    assert "12000 x 12000 pixels" in reason(tmp_path / "a.tif")


def test_a_picture_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "a.tif", np.zeros((8, 8, 3), "f8"), 8_000, 8_000)
    assert "1,536,000,000 bytes of memory" in reason(tmp_path / "a.tif")


def test_tifffile_is_imported_for_the_files_alone_that_need_it(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "plain.tif")
    Image.fromarray(PIXELS).save(tmp_path / "plain.jpg")
    tifffile.imwrite(tmp_path / "deep.tif", scaled(PIXELS, "u2", 65535), photometric="rgb")
    program = (
        "import sys; from capcli.pictures.read import read_picture as read; read('plain.tif'); read('plain.jpg');"
        "print('tifffile' in sys.modules); read('deep.tif'); print('tifffile' in sys.modules, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True", "False"]
    assert not ran.stderr


def test_a_damaged_file_of_deep_samples_gives_a_picture_or_a_reason(tmp_path: Path) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, scaled(PIXELS[:16, :16], "u2", 65535), photometric="rgb", compression="lzw")
    whole = stream.getvalue()
    chance = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for at in chance.integers(0, len(content), 6):
            content[at] = chance.integers(0, 256)
        (tmp_path / "a.tif").write_bytes(content)
        try:
            assert read_picture(tmp_path / "a.tif").mode == "RGB"
        except UnreadableImage as error:
            assert "\n" not in error.reason
