from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stored_photograph import distance, photograph, read_pixels

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture, upright_size

PIXELS = photograph()
HEIGHT, WIDTH = PIXELS.shape[:2]


def avif(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "AVIF", quality=95, subsampling="4:4:4", exif=exif.tobytes())
    return stream.getvalue()


def boxes(content: bytes, begin: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Where each box begins and ends."""
    found = {}
    while begin + 8 <= end:
        length, kind = struct.unpack_from(">I4s", content, begin)
        found[kind] = begin, begin + length
        begin += length
    return found


def with_clean_aperture(content: bytes, *numbers: int) -> bytes:
    """An AVIF that shows a part of itself: width, height and the offset of its middle, each as a fraction."""
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", *numbers)
    outer = boxes(content, 0, len(content))
    meta = outer[b"meta"]
    inner = boxes(content, meta[0] + 12, meta[1])
    iprp = inner[b"iprp"]
    parts = boxes(content, iprp[0] + 8, iprp[1])
    ipco, ipma = parts[b"ipco"], parts[b"ipma"]
    properties, at = 0, ipco[0] + 8
    while at < ipco[1]:
        properties, at = properties + 1, at + int.from_bytes(content[at : at + 4], "big")
    held = ipma[0] + 18
    # The crop comes before a turn, which is the last of an item's properties.
    turned = b"irot" in content[slice(*ipco)] or b"imir" in content[slice(*ipco)]
    last = held + 1 + content[held] - turned
    grown = bytearray(content)
    grown[last:last] = bytes([0x80 | properties + 1])
    grown[held] += 1
    grown[ipco[1] : ipco[1]] = box
    sizes = {meta[0]: 41, iprp[0]: 41, ipco[0]: 40, ipma[0] + 40: 1}
    for place, more in sizes.items():
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", grown, place)[0] + more)
    # The pixels have moved: of each item (number, reference, one extent) the extent's offset and length follow.
    iloc = inner[b"iloc"]
    for place in range(iloc[0] + 16, iloc[1], 14):
        assert struct.unpack_from(">H", content, place + 4) == (1,)
        struct.pack_into(">I", grown, place + 6, struct.unpack_from(">I", content, place + 6)[0] + 41)
    return bytes(grown)


def test_an_avif_is_cut_to_its_clean_aperture(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(avif())
    whole = read_pixels(path)
    middle = whole[18:54, 24:72]
    path.write_bytes(with_clean_aperture(avif(), 48, 1, 36, 1, 0, 1, 0, 1))
    assert distance(read_pixels(path), middle) == 0
    assert upright_size(path) == (48, 36)
    path.write_bytes(with_clean_aperture(avif(), 96, 2, 72, 2, -24, 1, -18, 1))
    assert distance(read_pixels(path), whole[:36, :48]) == 0


def test_an_avif_is_cut_before_it_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(avif())
    whole = read_pixels(path)
    path.write_bytes(with_clean_aperture(avif(orientation=6), 48, 1, 36, 1, -24, 1, -18, 1))
    assert distance(read_pixels(path), np.rot90(whole[:36, :48], -1)) == 0
    assert upright_size(path) == (36, 48)


@pytest.mark.parametrize(
    "numbers", [(96, 1, 72, 1, 0, 1, 0, 1), (500, 1, 36, 1, 0, 1, 0, 1), (48, 0, 36, 1, 0, 1, 0, 1)]
)
def test_a_clean_aperture_that_is_none_does_not_lose_the_picture(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(with_clean_aperture(avif(), *numbers))
    assert read_picture(path).size == upright_size(path) == (WIDTH, HEIGHT)


def test_damage_in_the_header_of_an_avif_gives_a_picture_or_a_reason(tmp_path: Path) -> None:
    whole = with_clean_aperture(avif(), 48, 1, 36, 1, 0, 1, 0, 1)
    chance = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for at in chance.integers(0, 330, 4):
            content[at] = chance.integers(0, 256)
        (tmp_path / "a.avif").write_bytes(content)
        try:
            assert read_picture(tmp_path / "a.avif").mode == "RGB"
        except UnreadableImage as error:
            assert error.reason


def psd(pixels: np.ndarray, depth: int = 8, *, layers: int | None = None) -> bytes:
    """A Photoshop file; the count of its layers is negative where its last channel is its transparency."""
    height, width, channels = pixels.shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, height, width, depth, 3)
    information = b"" if layers is None else struct.pack(">Ih", 2, layers)
    section = struct.pack(">II", 0, 0) + struct.pack(">I", len(information)) + information
    return header + section + bytes(2) + np.moveaxis(pixels, -1, 0).tobytes()


def test_photoshop_files_are_read_and_a_saved_selection_is_no_transparency(tmp_path: Path) -> None:
    path = tmp_path / "a.psd"
    path.write_bytes(psd(PIXELS))
    assert distance(read_pixels(path), PIXELS) == 0
    clear = np.dstack([PIXELS, np.zeros((HEIGHT, WIDTH), np.uint8)])
    for layers in (None, 1):
        path.write_bytes(psd(clear, layers=layers))
        assert distance(read_pixels(path), PIXELS) == 0
    path.write_bytes(psd(clear, layers=-1))
    assert (read_pixels(path) == 255).all()


def test_a_photoshop_file_of_16_bits_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.psd").write_bytes(psd(PIXELS.astype(">u2"), 16))
    with pytest.raises(UnreadableImage, match="more than 8 bits a channel"):
        read_picture(tmp_path / "a.psd")


def test_an_icon_gives_its_largest_picture(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).resize((64, 64)).save(tmp_path / "a.ico", sizes=[(16, 16), (64, 64), (32, 32)])
    assert read_picture(tmp_path / "a.ico").size == upright_size(tmp_path / "a.ico") == (64, 64)
