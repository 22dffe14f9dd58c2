from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.evaluation.plot import histogram, rank_correlation, scatter, tenths

scores = st.lists(st.floats(0, 10), min_size=1, max_size=80).map(np.array)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg) if element.tag == "text"]


@given(scores)
def test_a_histogram_is_well_formed_and_within_its_frame(values: np.ndarray) -> None:
    tree = ET.fromstring(histogram(values, "a <b> & c", 'alt "<&>"'))
    assert tree.attrib["aria-label"] == 'alt "<&>"'
    (bars,) = (path.attrib["d"] for path in tree if path.attrib.get("class") == "bar")
    heights = [float(part.split("H")[0]) for part in bars.replace("z", "").split("V")[1::2]]
    assert all(0 <= height <= 220 for height in heights)


@given(scores)
def test_a_scatter_has_a_dot_for_every_image(values: np.ndarray) -> None:
    tree = ET.fromstring(scatter(values / 10, values, ("x", "y"), "alt"))
    (dots,) = (path.attrib["d"] for path in tree if path.attrib.get("class") == "dot")
    assert dots.count("M") == len(values)


def test_a_scatter_of_very_many_images_stays_small() -> None:
    values = np.linspace(0, 1, 100_000)
    assert len(scatter(values, values, ("x", "y"), "alt")) < 100_000


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.93, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (4.3, list("012345")),
    ],
)
def test_ticks_are_round(top: float, ticks: list[str]) -> None:
    assert texts(histogram(np.array([top]), "score", "alt"))[: len(ticks)] == ticks


def test_images_are_counted_in_whole_numbers() -> None:
    assert texts(histogram(np.array([0.5]), "score", "alt"))[-4:] == ["0", "1", "score", "images"]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 1000], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.948683298),
        ([1, 1, 1], [1, 2, 3], None),
    ],
)
def test_rank_correlation(x: list[float], y: list[float], expected: float | None) -> None:
    assert rank_correlation(np.array(x), np.array(y)) == (None if expected is None else pytest.approx(expected))


def test_tenths_are_equal_shares_by_x() -> None:
    x = np.arange(100)[::-1]
    means = tenths(x, 2.0 * x)
    assert means[0] == (4.5, 9.0)
    assert means[-1] == (94.5, 189.0)
    assert tenths(x[:20], x[:20]) == []
