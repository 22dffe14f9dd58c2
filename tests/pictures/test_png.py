from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from colour_spaces import SPACES
from PIL import Image, PngImagePlugin
from png_files import GREY, PALETTE, RGB, chunk, gamma, png, profile, transparent
from stored_photograph import distance, grey, photograph, read_pixels

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_picture, upright_size

# pytest puts its own warning filters in the place of those that capcli sets.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

PIXELS = photograph()
LEVELS = grey(PIXELS)
TEXT = b"x" * 3_000_000
EXIF = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x08\0\0\0\0\0\0\0"
"""Orientation 8: the left of what is stored is the bottom."""


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_at_any_depth(tmp_path: Path, depth: int) -> None:
    top = 2**depth - 1
    samples = np.rint(LEVELS / 255 * top).astype(int)
    clear = int(np.median(samples))
    (tmp_path / "a.png").write_bytes(png(samples, GREY, depth, transparent(clear)))
    expected = np.where(samples == clear, 255, np.rint(samples / top * 255))
    assert distance(read_pixels(tmp_path / "a.png"), expected) < 0.01


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_white_and_its_neighbours_are_not(tmp_path: Path, depth: int) -> None:
    samples = PIXELS.astype(int) * (257 if depth == 16 else 1)
    clear = samples[40, 40]
    neighbour = clear + np.array([0, 0, 1])
    samples[0, :2] = clear, neighbour
    (tmp_path / "a.png").write_bytes(png(samples, RGB, depth, transparent(*clear)))
    shown = read_pixels(tmp_path / "a.png")
    assert (shown[0, 0] == 255).all()
    assert (shown[40, 40] == 255).all()
    assert distance(shown[0, 1], neighbour / (2**depth - 1) * 255) < 1
    outside = (samples != clear).any(axis=-1)
    assert distance(shown[outside], PIXELS[outside]) < 1


def test_the_transparency_of_colours_that_a_palette_lacks_does_not_matter(tmp_path: Path) -> None:
    palette = Image.fromarray(PIXELS).quantize(32)
    colours = chunk(b"PLTE", bytes(palette.getpalette()[:96]))
    path = tmp_path / "a.png"
    shown = []
    for alphas in (bytes([0, 255] * 16), bytes([0, 255] * 16 + [0] * 200)):
        path.write_bytes(png(np.asarray(palette), PALETTE, 8, colours, chunk(b"tRNS", alphas)))
        shown.append(read_pixels(path))
    assert distance(*shown) == 0
    assert (shown[0][np.asarray(palette) % 2 == 0] == 255).all()
    path.write_bytes(png(np.asarray(palette), PALETTE, 8, colours, chunk(b"tRNS", bytes(300))))
    assert distance(read_pixels(path), palette.convert("RGB")) == 0


BESIDE = {
    "a text": chunk(b"tEXt", b"Comment\0words", sound=False),
    "a time": chunk(b"tIME", bytes(7), sound=False),
    "a gamma": chunk(b"gAMA", struct.pack(">I", 100_000), sound=False),
    "a profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(SPACES["prophoto"].profile), sound=False),
    "an orientation": chunk(b"eXIf", EXIF, sound=False),
    "a chunk of no known kind": chunk(b"quTe", b"?", sound=False),
    "a long text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(TEXT)),
    "a long text of letters from anywhere": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(TEXT)),
    "many long texts": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 70,
    "a text packed in no known way": chunk(b"zTXt", b"Comment\0\7abc"),
    "a gamma that is too short": chunk(b"gAMA", b"\0"),
}


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("beside", BESIDE)
def test_what_is_broken_or_long_beside_the_pixels_does_not_lose_them(tmp_path: Path, beside: str, behind: bool) -> None:
    path, odd = tmp_path / "a.png", BESIDE[beside]
    path.write_bytes(png(PIXELS, RGB, 8, after=odd) if behind else png(PIXELS, RGB, 8, odd))
    assert distance(read_pixels(path), PIXELS) == 0
    assert upright_size(path) == PIXELS.shape[1::-1]


def test_what_is_sound_still_counts_beside_what_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    broken = BESIDE["a text"]
    path.write_bytes(png(PIXELS, RGB, 8, broken, gamma(1)))
    with_gamma = read_pixels(path)
    assert distance(with_gamma, PIXELS) > 20
    path.write_bytes(png(PIXELS, RGB, 8, gamma(1)))
    assert distance(read_pixels(path), with_gamma) == 0
    path.write_bytes(png(PIXELS, RGB, 8, broken, profile(SPACES["prophoto"].profile)))
    assert distance(read_pixels(path), SPACES["prophoto"].to_srgb(PIXELS / 255)) < 0.5
    path.write_bytes(png(PIXELS, RGB, 8, broken, chunk(b"eXIf", EXIF)))
    assert distance(read_pixels(path), np.rot90(PIXELS)) == 0
    raw = f"\nexif\n{len(EXIF)}\n{EXIF.hex()}\n".encode()
    path.write_bytes(png(PIXELS, RGB, 8, broken, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))))
    assert distance(read_pixels(path), np.rot90(PIXELS)) == 0
    path.write_bytes(png(LEVELS, GREY, 8, broken, transparent(int(LEVELS[40, 40]))))
    assert (read_pixels(path)[40, 40] == 255).all()


def test_a_profile_of_more_than_a_megabyte_is_applied(tmp_path: Path) -> None:
    space = SPACES["adobe"]
    # Padding behind the last tag is part of the profile's length.
    long = space.profile + bytes(np.random.default_rng(0).integers(0, 256, 2_000_000, np.uint8))
    long = len(long).to_bytes(4, "big") + long[4:]
    (tmp_path / "a.png").write_bytes(png(PIXELS, RGB, 8, profile(long)))
    assert distance(read_pixels(tmp_path / "a.png"), space.to_srgb(PIXELS / 255)) < 0.5


def test_a_profile_that_is_a_bomb_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(PIXELS, RGB, 8, profile(bytes(30_000_000))))
    assert distance(read_pixels(tmp_path / "a.png"), PIXELS) == 0


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_the_end_may_be_missing(tmp_path: Path, missing: int) -> None:
    (tmp_path / "a.png").write_bytes(png(PIXELS, RGB, 8)[:-missing])
    assert distance(read_pixels(tmp_path / "a.png"), PIXELS) == 0


@pytest.mark.parametrize("broken", ["IHDR", "PLTE", "IDAT"])
def test_a_wrong_checksum_of_the_pixels_themselves_is_damage_or_shows_them(tmp_path: Path, broken: str) -> None:
    palette = Image.fromarray(PIXELS).quantize(32)
    content = bytearray(png(np.asarray(palette), PALETTE, 8, chunk(b"PLTE", bytes(palette.getpalette()[:96]))))
    at = content.index(broken.encode())
    length = int.from_bytes(content[at - 4 : at], "big")
    content[at + 4 + length] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    try:
        assert distance(read_pixels(tmp_path / "a.png"), palette.convert("RGB")) == 0
    except UnreadableImage as error:
        assert error.reason.startswith("is damaged")


def test_pixels_that_are_missing_are_missed_beside_what_is_broken_too(tmp_path: Path) -> None:
    content = png(PIXELS, RGB, 8, BESIDE["a text"])
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_picture(tmp_path / "a.png")


def test_the_settings_of_pillow_stay_as_they_are() -> None:
    assert PngImagePlugin.MAX_TEXT_CHUNK == 2**20
