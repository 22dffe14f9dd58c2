from __future__ import annotations

import re

import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_captions import caption, peak, word

from capcli.heatmap.overlay import overlay
from capcli.heatmap.overlays import overlays


def names(words: list[str]) -> list[str]:
    return [name for name, _ in overlays(Image.new("RGB", (2, 2)), caption(words))]


@pytest.mark.parametrize("size", [(451, 300), (300, 451), (900, 90), (16, 16), (1, 1)])
def test_there_is_a_picture_at_its_own_resolution_for_each_word(size: tuple[int, int]) -> None:
    picture = Image.fromarray(skimage.data.chelsea()).resize(size)
    words = [word("a", weights=peak(0, 0)), word("cat", weights=peak(5, 2))]
    for (name, drawn), expected in zip(overlays(picture, caption(words), opacity=0.6), words, strict=True):
        assert name.endswith(f"-{expected.text}.png")
        assert drawn.tobytes() == overlay(picture, expected.heatmap(size), 0.6).tobytes()


def test_names_are_numbered_words() -> None:
    assert names(["a", "dog", "a"]) == ["01-a.png", "02-dog.png", "03-a.png"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("and/or", "01-and-or.png"),
        ("..", "01-word.png"),
        ("CON", "01-con.png"),
        ("\N{DOG FACE}", "01-word.png"),
        ("café", "01-cafe.png"),
        ("'s", "01-s.png"),
        ("a\\b:c*?", "01-a-b-c.png"),
        ("", "01-word.png"),
        ("\udcff\x00", "01-word.png"),
        ("x" * 300, f"01-{'x' * 40}.png"),
    ],
)
def test_any_word_makes_a_safe_name(text: str, name: str) -> None:
    assert names([text]) == [name]


@settings(deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=60), max_size=12))
def test_names_are_safe_and_differ_even_where_case_does_not_count(words: list[str]) -> None:
    found = names(words)
    assert all(re.fullmatch(r"\d\d-[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\.png", name) for name in found)
    assert found == sorted(set(found))


def test_names_of_more_than_99_words_sort_too() -> None:
    found = names(["a"] * 100)
    assert found[0] == "001-a.png"
    assert found == sorted(found)
