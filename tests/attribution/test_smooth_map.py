from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sample_captions import peak

from capcli.attribution.smooth_map import heatmap
from capcli.errors import UsageError

grids = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, allow_subnormal=False)
)
sides = st.integers(1, 90)
sizes = st.tuples(sides, sides)


@settings(deadline=None)
@given(grids, sizes)
def test_a_map_is_from_0_to_1_and_reaches_it(weights: np.ndarray, size: tuple[int, int]) -> None:
    heat = heatmap(weights, size)
    assert heat.shape == size[::-1]
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() == (1 if weights.any() else 0)


@settings(deadline=None)
@given(grids, sizes)
def test_mirrored_weights_give_the_mirrored_map(weights: np.ndarray, size: tuple[int, int]) -> None:
    heat = heatmap(weights, size)
    assert np.allclose(heatmap(weights[:, ::-1], size), heat[:, ::-1], atol=1e-5)
    assert np.allclose(heatmap(weights[::-1], size), heat[::-1], atol=1e-5)


@settings(deadline=None)
@given(grids, sizes)
def test_transposed_weights_give_the_transposed_map(weights: np.ndarray, size: tuple[int, int]) -> None:
    assert np.allclose(heatmap(weights.T, size[::-1]), heatmap(weights, size).T, atol=1e-5)


@settings(deadline=None)
@given(grids.filter(lambda weights: weights.sum() > 0.01), sizes)
def test_the_centre_of_mass_follows_the_weights(weights: np.ndarray, size: tuple[int, int]) -> None:
    # A cell spreads evenly to both sides; only the mirror at an edge moves mass, by less than half a cell, and a
    # pixel has its mass in its centre.
    heat = heatmap(weights, size).astype(float)
    for axis in (0, 1):
        expected, found = (
            (mass.sum(1 - axis) * (np.arange(mass.shape[axis]) + 0.5) / mass.shape[axis]).sum() / mass.sum()
            for mass in (weights, heat)
        )
        assert abs(found - expected) < 0.5 / weights.shape[axis] + 0.5 / size[1 - axis]


@pytest.mark.parametrize("size", [(70, 70), (640, 480), (333, 77), (9, 6)])
def test_inside_the_picture_the_centre_of_mass_is_that_of_the_weights(size: tuple[int, int]) -> None:
    weights = np.zeros((7, 7))
    weights[2:5, 2:5] = [[1, 2, 3], [0, 4, 1], [5, 0, 2]]
    heat = heatmap(weights, size).astype(float)
    for axis in (0, 1):
        expected, found = (
            (mass.sum(1 - axis) * (np.arange(mass.shape[axis]) + 0.5) / mass.shape[axis]).sum() / mass.sum()
            for mass in (weights, heat)
        )
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (6, 2), (5, 6)])
def test_the_strongest_place_lies_in_the_strongest_cell(row: int, column: int) -> None:
    heat = heatmap(peak(row, column), (700, 350))
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (y // 50, x // 100) == (row, column)


@settings(deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), sizes, st.floats(1e-30, 1e30))
def test_equal_weights_give_1_everywhere(shape: tuple[int, int], size: tuple[int, int], weight: float) -> None:
    assert np.allclose(heatmap(np.full(shape, weight), size), 1, atol=1e-6)


def test_the_scale_of_the_weights_does_not_matter() -> None:
    weights = np.random.default_rng(0).random((7, 7))
    assert np.allclose(heatmap(weights * 1e-40, (50, 40)), heatmap(weights, (50, 40)), atol=1e-6)


def test_a_cell_reaches_two_cells_far_and_no_further() -> None:
    heat = heatmap(peak(3, 3), (700, 700))
    assert heat[350, 150:550].min() > 0
    assert heat[350, :150].max() == heat[350, 550:].max() == 0


def test_a_map_is_smooth() -> None:
    heat = heatmap(np.random.default_rng(1).random((7, 7)), (700, 700)).astype(float)
    for axis in (0, 1):
        assert np.abs(np.diff(heat, axis=axis)).max() < 0.02
        assert np.abs(np.diff(heat, n=2, axis=axis)).max() < 0.001


def test_a_small_map_is_the_mean_of_a_large_one() -> None:
    weights = np.random.default_rng(2).random((5, 7))
    large = heatmap(weights, (120, 80)).reshape(4, 20, 6, 20).mean((1, 3))
    assert np.allclose(heatmap(weights, (6, 4)), large / large.max(), atol=1e-5)


@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (-0.07, -0.2, 0.93, 1.1), (0.1, -1.5, 0.4, 3.0)])
def test_the_docstring_says_how_to_repeat_it(box: tuple[float, float, float, float]) -> None:
    weights, (width, height) = np.random.default_rng(3).random((3, 4)), (11, 6)

    def integral(t: float) -> float:
        t = min(max(t, -2), 2)
        return sum(c * max(t + s, 0) ** 4 for c, s in ((1, 2), (-4, 1), (6, 0), (-4, -1))) / 24

    def shares(n: int, m: int, s: float, e: float) -> np.ndarray:
        taken = np.zeros((m, n))
        for p in range(m):
            for i in range(-50, n + 50):
                cell = i
                while not 0 <= cell < n:
                    cell = -1 - cell if cell < 0 else 2 * n - 1 - cell
                a, b = (p / m - s) * n / (e - s) - 0.5, ((p + 1) / m - s) * n / (e - s) - 0.5
                taken[p, cell] += (integral(b - i) - integral(a - i)) / (b - a)
        return taken

    drawn = shares(3, height, box[1], box[3]) @ weights @ shares(4, width, box[0], box[2]).T
    assert np.allclose(heatmap(weights, (width, height), box), drawn / drawn.max(), atol=1e-6)


def test_the_strongest_place_is_where_the_box_has_the_centre_of_the_cell() -> None:
    box = (-15.5 / 224, -15.5 / 224, 208.5 / 224, 208.5 / 224)
    for row, column in ((3, 3), (1, 5), (5, 2)):
        weights = np.zeros((7, 7))
        weights[row, column] = 1
        heat = heatmap(weights, (224, 224), box)
        place = np.unravel_index(heat.argmax(), heat.shape)
        assert tuple(place) == pytest.approx((32 * row, 32 * column), abs=1)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 3), 640, (10.5, 20), (1, 2, 3), None])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(UsageError, match="in whole pixels from 1 on"):
        heatmap(np.ones((7, 7)), size)


@pytest.mark.parametrize(
    "weights", [np.ones(49), np.ones((0, 7)), np.full((7, 7), np.nan), np.full((7, 7), -0.1), np.full((2, 2), np.inf)]
)
def test_what_is_no_grid_of_weights_is_refused(weights: np.ndarray) -> None:
    with pytest.raises(UsageError, match="weights are"):
        heatmap(weights, (10, 10))
