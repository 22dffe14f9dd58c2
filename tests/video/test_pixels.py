from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av")

from made_films import grey, quarters, write_film  # noqa: E402

from capcli.pictures.read import to_array  # noqa: E402
from capcli.video.film import Film  # noqa: E402
from capcli.video.pixels import to_picture, to_square  # noqa: E402

HIGH = (320, 720)


def first(path: Path) -> Any:
    with Film(path) as film:
        return next(film.samples(10)).frame


def apart(path: Path, frame: np.ndarray[Any, Any], size: int = 48) -> float:
    """How far the middles of the four quarters are from where they should be, in grey levels at most."""
    square = to_square(first(path), size).astype(int)
    expected = to_array(Image.fromarray(frame), size).astype(int)
    places = (size // 4, 3 * size // 4)
    return max(float(np.abs(square[y, x] - expected[y, x]).max()) for y in places for x in places)


def encoded(frame: np.ndarray[Any, Any], matrix: int) -> Any:
    """A frame by the equations of ITU-T H.273, in limited range: red's and blue's weights say all of a matrix."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    r, g, b = (frame[..., channel] / 255 for channel in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    planes = [
        16 + 219 * luma,
        *(128 + 112 * (primary - luma) / (1 - weight) for primary, weight in ((b, blue), (r, red))),
    ]
    return av.VideoFrame.from_ndarray(np.rint(planes).astype(np.uint8), "yuv444p")


LOSSLESS = {"form": "yuv444p", "options": {"qp": "0"}}


@pytest.mark.parametrize(
    ("size", "matrix", "tagged"),
    [((64, 48), 5, False), (HIGH, 1, False), ((64, 48), 1, True), (HIGH, 5, True), ((64, 48), 9, True)],
)
def test_colours_are_those_that_were_put_in(size: tuple[int, int], matrix: int, tagged: bool, tmp_path: Path) -> None:
    def tell(stream: Any) -> None:
        if tagged:
            stream.codec_context.colorspace = matrix

    def convert(frame: Any) -> Any:
        return encoded(quarters(size), matrix)

    path = write_film(tmp_path / "film.mkv", [quarters(size)] * 2, prepare=tell, convert=convert, **LOSSLESS)
    assert int(first(path).colorspace) == (matrix if tagged else 2)
    assert apart(path, quarters(size)) <= 3


@pytest.mark.parametrize("full", [False, True])
def test_black_and_white_are_those_of_the_range(full: bool, tmp_path: Path) -> None:
    for level in (0, 128, 255):
        path = write_film(
            tmp_path / "film.mp4", [grey(level)] * 2, form="yuvj420p" if full else "yuv420p", options={"crf": "1"}
        )
        assert first(path).format.name == ("yuvj420p" if full else "yuv420p")
        assert np.abs(to_square(first(path), 8).astype(int) - level).max() <= 2


def test_ten_bits_are_as_good_as_eight(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", [quarters()] * 2, form="yuv444p10le", options={"qp": "0"})
    assert first(path).format.name == "yuv444p10le"
    assert apart(path, quarters()) <= 3


def test_high_dynamic_range_is_shown_as_a_photograph_of_it_is(tmp_path: Path) -> None:
    def tell(stream: Any) -> None:
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 16
        stream.codec_context.colorspace = 9

    # By the curve of SMPTE ST 2084 these samples are 203 and 20.3 candelas per square metre: white, and a tenth of it.
    for sample, level in ((0.581, 255), (0.354, 89)):
        deep = np.full((48, 64, 3), round(sample * 65535), np.uint16)

        def convert(frame: Any, deep: Any = deep) -> Any:
            return av.VideoFrame.from_ndarray(deep, "rgb48le").reformat(format="yuv420p10le", dst_colorspace=9)

        path = write_film(
            tmp_path / "film.mkv",
            [grey(0)] * 2,
            form="yuv420p10le",
            options={"crf": "1"},
            prepare=tell,
            convert=convert,
        )
        assert int(first(path).color_trc) == 16
        assert np.abs(to_square(first(path), 8).astype(int) - level).max() <= 3


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    def convert(frame: Any) -> Any:
        pixels = np.zeros((48, 64, 4), np.uint8)
        pixels[:24] = (200, 30, 40, 255)
        pixels[24:] = (200, 30, 40, 0)
        return av.VideoFrame.from_ndarray(pixels, "rgba")

    path = write_film(tmp_path / "film.mov", [grey(0)] * 2, codec="png", form="rgba", convert=convert)
    square = to_square(first(path), 8)
    assert np.abs(square[1, 4].astype(int) - (200, 30, 40)).max() <= 1
    assert (square[6, 4] == 255).all()


def test_a_picture_has_the_shape_in_which_players_show_it(tmp_path: Path) -> None:
    def wide(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = 2
        stream.set_display_rotation(90)

    with Film(write_film(tmp_path / "film.mp4", [quarters()] * 2, prepare=wide)) as film:
        pixel = float(film.stream.sample_aspect_ratio or 1)
        frame = next(film.samples(1)).frame
    assert pixel == 2
    assert to_picture(frame, 640, pixel).size == (48, 128)
    assert to_picture(frame, 64, pixel).size == (24, 64)


def test_a_frame_of_a_photograph_is_seen_as_the_photograph(tmp_path: Path) -> None:
    photograph = Path(__file__).parents[2] / "examples" / "coffee.jpg"
    with Image.open(photograph) as image:
        pixels = np.asarray(image.convert("RGB").crop((0, 0, image.width // 2 * 2, image.height // 2 * 2)))
    path = write_film(tmp_path / "film.mkv", [pixels], form="yuv444p", options={"qp": "0"})
    square = to_square(first(path), 224).astype(int)
    assert np.abs(square - to_array(Image.fromarray(pixels), 224)).mean() < 1
