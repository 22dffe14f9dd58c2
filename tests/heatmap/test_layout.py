from __future__ import annotations

import string
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.errors import UsageError
from capcli.heatmap.layout import LEGEND_UNKNOWN, NARROWEST, Box, Layout, layout
from capcli.heatmap.text import font

sizes = st.sampled_from([(640, 480), (480, 640), (4000, 400), (400, 4000), (16, 16), (1, 1), (3000, 1), (1, 3000)])
words = st.one_of(
    st.sampled_from(["a", "dog", "skateboarders", "and/or"]),
    st.text(string.ascii_letters, min_size=1, max_size=60),
    st.text(alphabet=st.characters(), min_size=1, max_size=90),
)
probabilities = st.sampled_from(["62 %", "<1 %", "100 %", "unknown"])
labels = st.lists(st.tuples(words, probabilities), max_size=40)


def boxes(places: Layout) -> list[Box]:
    lines = [*places.title, *places.legend, *(line for panel in places.panels for line in panel.lines)]
    return [places.scale, *(panel.picture for panel in places.panels), *(line.box for line in lines)]


def written(places: Layout, panel: int) -> str:
    return "".join(line.text for line in places.panels[panel].lines)


@settings(max_examples=60, deadline=None)
@given(sizes, labels, st.sampled_from([NARROWEST, 600, 1200, 2500]))
def test_nothing_is_cut_off_and_nothing_overlaps(
    size: tuple[int, int], labels: list[tuple[str, str]], width: int
) -> None:
    places = layout(size, " ".join(word for word, _ in labels), labels, width)
    assert places.size[0] == width
    found = boxes(places)
    for box in found:
        assert 0 < box.left <= box.right < width
        assert 0 < box.top < box.bottom < places.size[1]
    for first, second in combinations(found, 2):
        across = min(first.right, second.right) - max(first.left, second.left)
        down = min(first.bottom, second.bottom) - max(first.top, second.top)
        assert across <= 0 or down <= 0


@settings(max_examples=40, deadline=None)
@given(sizes, labels, st.sampled_from([NARROWEST, 1200]))
def test_there_is_a_panel_for_the_picture_and_each_word_all_alike(
    size: tuple[int, int], labels: list[tuple[str, str]], width: int
) -> None:
    panels = layout(size, "", labels, width).panels
    assert len(panels) == len(labels) + 1
    assert len({panel.picture.size for panel in panels}) == 1
    assert [panel.picture[1::-1] for panel in panels] == sorted(panel.picture[1::-1] for panel in panels)
    for panel in panels:
        assert all(line.top >= panel.picture.bottom for line in panel.lines)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text(string.ascii_letters, min_size=1, max_size=60), probabilities), min_size=1, max_size=40),
    sizes,
    st.sampled_from([NARROWEST, 1200]),
)
def test_words_of_up_to_sixty_letters_are_all_there_with_their_probability(
    labels: list[tuple[str, str]], size: tuple[int, int], width: int
) -> None:
    places = layout(size, "", labels, width)
    for number, label in enumerate(labels, 1):
        assert written(places, number) == "".join(label)


def test_of_a_longer_word_beginning_and_end_are_there() -> None:
    word = "begin" + "m" * 2000 + "end"
    text = written(layout((640, 480), word, [(word, "unknown")] * 12), 5)
    assert text.startswith("beginm")
    assert "…m" in text
    assert text.endswith("mendunknown")


@pytest.mark.parametrize(("size", "shape"), [((640, 480), 4 / 3), ((480, 640), 3 / 4), ((1000, 100), 10)])
def test_pictures_keep_their_shape(size: tuple[int, int], shape: float) -> None:
    for panel in layout(size, "a dog", [("a", "50 %"), ("dog", "50 %")]).panels:
        width, height = panel.picture.size
        assert width / height == pytest.approx(shape, rel=0.02)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 100), (16, 16)])
@pytest.mark.parametrize("count", [3, 12, 20])
def test_a_usual_grid_fits_a_slide(size: tuple[int, int], count: int) -> None:
    width, height = layout(size, "a dog runs", [("skateboarders", "62 %")] * count).size
    assert 0.25 < height / width < 1.1


def test_at_1200_pixels_text_is_legible() -> None:
    places = layout((640, 480), "a dog runs", [("dog", "62 %")] * 40)
    lines = [*places.title, *places.legend, *(line for panel in places.panels for line in panel.lines)]
    assert min(line.size for line in lines) >= 16
    assert min(panel.picture.size[0] for panel in places.panels) >= 130


def test_the_picture_in_front_is_called_so() -> None:
    assert [line.text for line in layout((640, 480), "", []).panels[0].lines] == ["picture"]


def test_unknown_is_explained_where_it_is_shown() -> None:
    def legend(probability: str) -> str:
        return " ".join(line.text for line in layout((640, 480), "", [("dog", probability)]).legend)

    assert LEGEND_UNKNOWN in legend("unknown")
    assert LEGEND_UNKNOWN not in legend("62 %")


def test_a_line_covers_what_is_drawn_of_it() -> None:
    for line in layout((640, 480), "Ågjpqy|{} a dog", [("jgyÅ|", "62 %")]).panels[1].lines:
        left, top, right, bottom = font(line.size).getbbox(line.text)
        box = line.box
        assert left >= -1
        assert top >= 0
        assert right <= box.size[0] + 1
        assert bottom <= box.size[1]


@pytest.mark.parametrize("width", [NARROWEST - 1, 0, -5])
def test_a_grid_that_is_too_narrow_is_refused(width: int) -> None:
    with pytest.raises(UsageError, match="at least 320 pixels"):
        layout((640, 480), "a dog", [("dog", "62 %")], width)
