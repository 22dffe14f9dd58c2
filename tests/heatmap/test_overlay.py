from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_captions import peak

from capcli.attribution.smooth_map import heatmap
from capcli.errors import UsageError
from capcli.heatmap.colour import colours
from capcli.heatmap.overlay import OPACITY, alphas, overlay


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()).resize((200, 150))


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 255), st.floats(0, 1))
def test_a_pixel_is_blended_as_the_docstring_says(heat: float, grey: int, opacity: float) -> None:
    drawn = overlay(Image.new("RGB", (1, 1), (grey, grey, grey)), np.array([[heat]]), opacity)
    level = round(255 * heat)
    alpha = round(255 * opacity * (0.4 + 0.6 * level / 255))
    expected = [(int(colour) * alpha + grey * (255 - alpha)) / 255 for colour in colours()[level]]
    assert drawn.getpixel((0, 0)) == pytest.approx(expected, abs=0.51 + abs(alpha - alphas(opacity)[level]))


def test_the_picture_keeps_its_size_and_is_not_changed(photograph: Image.Image) -> None:
    before = photograph.tobytes()
    drawn = overlay(photograph, heatmap(peak(0, 0), photograph.size))
    assert (drawn.size, drawn.mode) == (photograph.size, "RGB")
    assert photograph.tobytes() == before


def test_without_opacity_there_is_the_picture_alone(photograph: Image.Image) -> None:
    assert overlay(photograph, heatmap(peak(3, 3), photograph.size), 0).tobytes() == photograph.tobytes()


def test_the_strongest_place_at_full_opacity_is_the_last_colour(photograph: Image.Image) -> None:
    heat = heatmap(peak(3, 3), photograph.size)
    drawn = np.asarray(overlay(photograph, heat, 1.0))
    assert (drawn[heat == 1] == colours()[-1]).all()


def test_weak_places_show_the_picture_and_strong_ones_the_colour(photograph: Image.Image) -> None:
    heat = heatmap(peak(3, 3), photograph.size)
    drawn, before = (np.asarray(image).astype(float) for image in (overlay(photograph, heat), photograph))
    weak, strong = heat < 0.02, heat > 0.9

    def likeness(place: np.ndarray) -> float:
        return np.corrcoef(drawn[place].ravel(), before[place].ravel())[0, 1]

    assert likeness(weak) > 0.99
    assert likeness(strong) < 0.9
    assert np.abs(drawn[strong] - colours()[-1]).mean() < np.abs(drawn[strong] - before[strong]).mean()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_strong_places_stand_out_on_any_ground(grey: int) -> None:
    drawn = overlay(Image.new("RGB", (2, 1), (grey,) * 3), np.array([[0.0, 1.0]]))
    weak, strong = np.asarray(drawn)[0].astype(int)
    assert np.abs(weak - strong).max() > 60


def test_alphas_rise_with_heat() -> None:
    assert alphas().dtype == np.uint8
    assert (np.diff(alphas().astype(int)) >= 0).all()
    assert alphas()[-1] == round(255 * OPACITY)
    assert alphas(1)[0] == 102


@pytest.mark.parametrize("opacity", [-0.1, 1.5, float("nan")])
def test_an_opacity_out_of_range_is_refused(photograph: Image.Image, opacity: float) -> None:
    with pytest.raises(UsageError, match="opacity is from 0 to 1"):
        overlay(photograph, heatmap(peak(0, 0), photograph.size), opacity)


def test_a_map_of_another_size_is_refused(photograph: Image.Image) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        overlay(photograph, heatmap(peak(0, 0), (150, 200)))
