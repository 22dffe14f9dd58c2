from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image
from sample_captions import caption, peak, word

import capcli.heatmap
from capcli.caption import Word
from capcli.errors import UsageError
from capcli.heatmap.grid import grid
from capcli.heatmap.layout import layout
from capcli.heatmap.overlay import overlay

SENTENCE = ["a", "young", "woman", "in", "a", "red", "suit", "is", "standing", "near", "a", "flag"]


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()).resize((640, 480))


def inside(drawn: Image.Image, number: int, size: tuple[int, int], words: list[str]) -> Image.Image:
    labels = [(word, "50 %") for word in words]
    return drawn.crop(layout(size, " ".join(words), labels, drawn.width).panels[number].picture)


def test_the_room_gives_the_function_whatever_is_imported_first() -> None:
    program = (
        "import capcli.heatmap, sys; assert not {'numpy', 'PIL', 'torch'} & set(sys.modules);"
        "from capcli.heatmap.grid import grid; import capcli.heatmap.overlay;"
        "assert capcli.heatmap.grid is grid and callable(grid)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert capcli.heatmap.grid is grid


def test_each_panel_is_the_picture_under_its_words_heatmap(photograph: Image.Image) -> None:
    cells = [(0, 0), (6, 6), (3, 1)]
    drawn = grid(photograph, caption([word("dog", weights=peak(*cell)) for cell in cells]))
    plain = inside(drawn, 0, photograph.size, ["dog"] * 3)
    small = photograph.resize(plain.size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert plain.tobytes() == small.tobytes()
    for number, cell in enumerate(cells, 1):
        panel = inside(drawn, number, photograph.size, ["dog"] * 3)
        heat = word("dog", weights=peak(*cell)).heatmap(plain.size)
        assert panel.tobytes() == overlay(small, heat).tobytes()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 100), (100, 1000), (16, 16), (1, 1), (2000, 3)])
@pytest.mark.parametrize("count", [0, 1, 12, 20, 40])
def test_pictures_of_every_shape_with_any_number_of_words(
    photograph: Image.Image, size: tuple[int, int], count: int
) -> None:
    drawn = grid(photograph.resize(size), caption(["skateboarders"] * count))
    assert (drawn.mode, drawn.width) == ("RGB", 1200)
    # Nothing reaches into the margin, so nothing is cut off.
    pixels = np.asarray(drawn)
    for edge in (pixels[:24], pixels[-24:], pixels[:, :24], pixels[:, -24:]):
        assert (edge == 255).all()


def test_words_and_probabilities_are_written_below_the_panels(photograph: Image.Image) -> None:
    known = grid(photograph, caption([word("dog", 0.62)], "A dog."))
    same_words = {
        "another probability": [word("dog", 0.63)],
        "an unknown word": [word("dog", None)],
        "another word": [word("cat", 0.62)],
    }
    for what, words in same_words.items():
        other = grid(photograph, caption(words, "A dog."))
        height = min(known.height, other.height)
        changed = np.asarray(known)[:height] != np.asarray(other)[:height]
        box = layout(photograph.size, "A dog.", [("dog", "62 %")]).panels[1].picture
        assert changed[box.bottom : box.bottom + 40, box.left : box.right].any(), what
        assert not changed[: box.bottom].any(), what


@pytest.mark.parametrize("text", ["пёс бежит", "犬が走る", "\N{DOG FACE} \udcff\x1b[31m", "كلب", "x" * 5000, ""])
def test_captions_of_other_scripts_and_kinds_are_drawn_all_the_same(photograph: Image.Image, text: str) -> None:
    drawn = grid(photograph, caption([word(text, None)], text))
    assert drawn.width == 1200


@pytest.mark.parametrize("width", [320, 800, 2400])
def test_the_width_can_be_chosen(photograph: Image.Image, width: int) -> None:
    assert grid(photograph, caption(SENTENCE), width=width).width == width


def test_a_grid_of_twelve_words_is_a_file_of_reasonable_size(photograph: Image.Image) -> None:
    file = io.BytesIO()
    grid(photograph, caption(SENTENCE)).save(file, "PNG")
    assert file.tell() < 1_500_000


def test_it_is_the_same_every_time(photograph: Image.Image) -> None:
    once, again = (grid(photograph, caption(SENTENCE)).tobytes() for _ in range(2))
    assert once == again


def test_grids_of_regions_need_not_be_square(photograph: Image.Image) -> None:
    flat = grid(photograph, caption([word("dog", weights=peak(0, 11, (1, 12)))]))
    panel = np.asarray(inside(flat, 1, photograph.size, ["dog"])).astype(int)
    plain = np.asarray(inside(flat, 0, photograph.size, ["dog"])).astype(int)
    change = np.abs(panel - plain).sum(2).mean(0)
    assert change[-20:].mean() > change[: len(change) // 2].mean()


def test_words_without_attention_are_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="no attention for the word 'dog'"):
        grid(photograph, caption([Word("dog", -1.0, None)]))
