from __future__ import annotations

import re

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from sample_captions import caption, peak, word

from capcli.caption import Word
from capcli.errors import UsageError
from capcli.heatmap.overlay import overlay
from capcli.heatmap.terminal import COLOURS, SHADES, render

CODE = re.compile("\x1b\\[([0-9;]*)m")
RESET = "\x1b[0m"
coloured = pytest.mark.parametrize("colour", ["truecolor", "256"])


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea())


def plain(line: str) -> str:
    return CODE.sub("", line)


def blocks(lines: list[str]) -> list[str]:
    return [line for line in lines if "▀" in line]


def pixels(lines: list[str]) -> np.ndarray:
    """What a terminal would show of lines of one panel in true colour: uint8 pixel rows x columns x 3."""
    rows: list[list[list[int]]] = []
    for line in blocks(lines):
        upper, lower = [], []
        fore = back = [0, 0, 0]
        for code, _ in re.findall("\x1b\\[([0-9;]*)m|(▀)", line.replace(RESET, "")):
            if code:
                numbers = list(map(int, code.split(";")))
                fore, back = numbers[2:5], numbers[7:10]
            else:
                upper.append(fore)
                lower.append(back)
        rows += [upper, lower]
    return np.array(rows)


words = st.lists(st.text(alphabet=st.characters(), min_size=1, max_size=70), min_size=1, max_size=6)
sizes = st.sampled_from([(40, 30), (30, 40), (200, 20), (20, 200), (16, 16), (1, 1), (500, 1), (1, 500)])


@settings(max_examples=60, deadline=None)
@given(words, sizes, st.integers(1, 130), st.one_of(st.none(), st.integers(1, 30)), st.sampled_from(COLOURS))
def test_lines_fit_and_leave_the_terminal_as_it_was(
    words: list[str], size: tuple[int, int], width: int, height: int | None, colour: str
) -> None:
    lines = list(render(Image.new("RGB", size, "red"), caption(words), width, height=height, colour=colour))
    assert lines
    for line in lines:
        assert cell_len(plain(line)) <= width
        assert plain(line).isprintable()
        assert line.endswith(RESET) if colour != "none" else "\x1b" not in line


def test_each_character_is_two_pixels_of_the_overlay(photograph: Image.Image) -> None:
    cat = word("cat", weights=peak(5, 2))
    shown = pixels(list(render(photograph, caption([cat]), 50)))
    small = photograph.resize(shown.shape[1::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert (shown == np.asarray(overlay(small, cat.heatmap(small.size)))).all()


def test_with_256_colours_it_looks_much_the_same(photograph: Image.Image) -> None:
    steps = [0, 95, 135, 175, 215, 255]
    levels = {
        16 + 36 * r + 6 * g + b: (steps[r], steps[g], steps[b]) for r in range(6) for g in range(6) for b in range(6)
    }
    levels |= {232 + place: (8 + 10 * place,) * 3 for place in range(24)}

    def direct(code: re.Match[str]) -> str:
        fore, back = (levels[int(number)] for number in re.findall("[34]8;5;(\\d+)", code[1]))
        return "\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*fore, *back)

    lines = [
        re.sub("\x1b\\[([^m]+;[^m]+)m", direct, line) for line in render(photograph, caption(["cat"]), 50, colour="256")
    ]
    exact = pixels(list(render(photograph, caption(["cat"]), 50)))
    assert np.abs(pixels(lines) - exact).mean() < 20


@coloured
@pytest.mark.parametrize(("size", "shape"), [((400, 300), 4 / 3), ((300, 400), 3 / 4), ((1000, 100), 10)])
def test_the_picture_keeps_its_shape(size: tuple[int, int], shape: float, colour: str) -> None:
    lines = blocks(list(render(Image.new("RGB", size), caption(["dog"]), 100, colour=colour)))
    # A character is twice as high as wide.
    assert plain(lines[0]).count("▀") / (2 * len(lines)) == pytest.approx(shape, rel=0.12)


def test_panels_stand_side_by_side_as_many_as_fit(photograph: Image.Image) -> None:
    def rows(width: int, count: int) -> int:
        return sum("dog" in line for line in render(photograph, caption(["dog"] * count), width, colour="none"))

    assert rows(40, 4) == 4
    assert rows(80, 4) == 2
    assert rows(160, 4) == 1
    assert rows(160, 5) == 2


@pytest.mark.parametrize("height", [1, 5, 12])
def test_no_picture_is_higher_than_asked_for(height: int) -> None:
    lines = blocks(list(render(Image.new("RGB", (30, 90)), caption(["dog"]), 80, height=height)))
    assert len(lines) == height


def test_below_each_panel_stand_its_word_and_probability(photograph: Image.Image) -> None:
    words = [word("a", 0.62), word("zyzzyva", None), word("'s", 0.001)]
    text = " ".join(map(plain, render(photograph, caption(words), 120)))
    assert [label.strip() for label in re.findall(r"\S+  (?:<?\d+ %|unknown)", text)] == [
        "a  62 %",
        "zyzzyva  unknown",
        "'s  <1 %",
    ]


def test_a_long_word_goes_on_below(photograph: Image.Image) -> None:
    lines = list(render(photograph, caption(["x" * 60]), 30, colour="none"))
    below = [line for line in lines if "x" in line]
    assert sum(line.count("x") for line in below) == 60
    assert len(below) == 2


def test_of_an_endless_word_beginning_and_end_are_there(photograph: Image.Image) -> None:
    text = " ".join(render(photograph, caption([f"begin{'x' * 5000}end"]), 30, colour="none"))
    assert "begin" in text
    assert "…" in text
    assert "end" in text
    assert len(text) < 2000


def test_without_colour_shades_show_the_heat_alone(photograph: Image.Image) -> None:
    lines = list(render(photograph, caption([word("cat", weights=peak(6, 0))]), 40, colour="none"))[:-1]
    levels = np.array([[SHADES.index(character) for character in line] for line in lines])
    assert levels[-1, 0] == len(SHADES) - 1
    assert (levels[:3] == 0).all()
    assert (levels[:, -10:] == 0).all()
    assert (
        lines
        == list(
            render(Image.new("RGB", photograph.size), caption([word("cat", weights=peak(6, 0))]), 40, colour="none")
        )[:-1]
    )


def test_what_would_steer_the_terminal_is_not_written(photograph: Image.Image) -> None:
    for colour in COLOURS:
        text = "".join(render(photograph, caption(["\x1b]0;title\x07", "a\nb"]), 80, colour=colour))
        assert "\x1b]" not in text
        assert not set("\x07\n\r") & set(text)


@pytest.mark.parametrize("width", [0, -4])
def test_no_width_is_refused(photograph: Image.Image, width: int) -> None:
    with pytest.raises(UsageError, match="nothing to draw on"):
        list(render(photograph, caption(["dog"]), width))


def test_no_height_is_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="nothing to draw on"):
        list(render(photograph, caption(["dog"]), 80, height=0))


def test_an_unknown_colour_is_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="truecolor, 256, none, not 'pink'"):
        list(render(photograph, caption(["dog"]), 80, colour="pink"))  # type: ignore[arg-type]


def test_words_without_attention_are_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="no attention"):
        list(render(photograph, caption([Word("dog", -1.0, None)]), 80))
