from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from capcli.attribution.cover import cover
from capcli.attribution.maps import occlusion, relevance, shares
from capcli.attribution.methods import METHODS, check_method
from capcli.decoding.forced import Forced
from capcli.errors import UsageError

GRIDS = st.tuples(st.integers(1, 6), st.integers(1, 6))
NOISE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


def forced(attention: list[list[float]], relevances: list[list[float]] | None) -> Forced:
    """One layer with two heads of equal attention; the second head's relevance is the first's turned round."""
    weights = np.array(attention, np.float32)[:, None, None].repeat(2, 2)
    gradients = None
    if relevances is not None:
        first = np.array(relevances, np.float32)
        gradients = np.stack([first, first[:, ::-1]], 1)[:, None]
    return Forced(np.zeros(len(attention) + 1, np.float32), weights, gradients)


def test_attention_is_the_mean_of_the_heads() -> None:
    np.testing.assert_allclose(relevance(forced([[0.2, 0.8]], None), "attention"), [[0.2, 0.8]], rtol=1e-6)


def test_a_head_that_speaks_against_a_word_does_not_cancel_one_that_speaks_for_it() -> None:
    maps = relevance(forced([[0.2, 0.3, 0.5]], [[3.0, 1.0, -3.0]]), "gradient")
    np.testing.assert_allclose(maps, [[3 / 8, 2 / 8, 3 / 8]], rtol=1e-6)


def test_where_nothing_speaks_for_a_word_its_attention_is_shown() -> None:
    maps = relevance(forced([[0.2, 0.8], [0.5, 0.5]], [[-1.0, -1.0], [1.0, 0.0]]), "gradient")
    np.testing.assert_allclose(maps, [[0.2, 0.8], [0.5, 0.5]], rtol=1e-6)


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(0, 100, width=32)))
def test_shares_are_shares(maps: np.ndarray) -> None:
    normalized = shares(maps, np.full((3, 5), 0.2, np.float32))
    assert (normalized >= 0).all()
    np.testing.assert_allclose(normalized.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_suits_a_model_with_attention(method: str) -> None:
    check_method(method, METHODS, "base")


def test_methods_that_cannot_be() -> None:
    check_method("occlusion", ("occlusion",), "plain")
    with pytest.raises(UsageError, match="the model plain has no attention to show; take one that has, such as base"):
        check_method("gradient", ("occlusion",), "plain")
    with pytest.raises(UsageError, match=r"method must be one of .*, not 'gradients'; did you mean gradient\?$"):
        check_method("gradients", METHODS, "base")


@given(GRIDS, st.data())
def test_covers_touch_their_regions_alone(grid: tuple[int, int], data: st.DataObject) -> None:
    covered = data.draw(arrays.arrays(bool, (2, grid[0] * grid[1])))
    pictures = cover(NOISE, covered, grid)
    assert pictures.shape == (2, *NOISE.shape) and pictures.dtype == np.uint8
    blurred = np.asarray(Image.fromarray(NOISE).filter(ImageFilter.GaussianBlur(24 / min(grid))))
    nearest = [abs((np.arange(24) + 0.5) / 24 - (np.arange(count)[:, None] + 0.5) / count).argmin(0) for count in grid]
    places = nearest[0][:, None] * grid[1] + nearest[1]
    for mask, picture in zip(covered, pictures, strict=True):
        hidden = mask[places]
        assert (picture[hidden] == blurred[hidden]).all()
        assert (picture[~hidden] == NOISE[~hidden]).all()


@given(GRIDS, st.data())
def test_occlusion_finds_the_one_region_that_matters(grid: tuple[int, int], data: st.DataObject) -> None:
    count = grid[0] * grid[1]
    place = data.draw(st.integers(0, count - 1))
    maps = occlusion(lambda covered: np.stack([covered[:, place] * 2.0, covered[:, place] * -1.0], 1), grid)
    assert maps.shape == (2, count)
    assert maps[0].argmax() == place or maps[0, place] == pytest.approx(maps[0].max())
    assert (maps[1] == 0).all()
    row, column = np.divmod(np.arange(count), grid[1])
    far = np.maximum(abs(row - place // grid[1]), abs(column - place % grid[1])) > 2
    assert (maps[0][far] == 0).all()


def test_with_a_box_a_pixel_belongs_to_the_nearest_region() -> None:
    # Centres at 0, 8 and 16 of 24 pixels, as of three convolutions of stride 2.
    box = (0.5 / 24 - 4 / 24, 0.5 / 24 - 4 / 24, 0.5 / 24 + 20 / 24, 0.5 / 24 + 20 / 24)
    for region in range(9):
        picture = cover(NOISE, np.arange(9)[None] == region, (3, 3), box)[0]
        changed = np.argwhere((picture != NOISE).any(2))
        row, column = divmod(region, 3)
        for places, centre in zip(changed.T, (8 * row, 8 * column), strict=True):
            others = np.array([0, 8, 16])
            assert (abs(places - centre) <= abs(places[:, None] - others).min(1)).all()
        assert len(changed) > 0


def test_occlusion_is_the_mean_over_the_windows_a_region_lies_in() -> None:
    maps = occlusion(lambda covered: np.ones((len(covered), 1)), (4, 3))
    np.testing.assert_allclose(maps, 1, rtol=1e-6)
