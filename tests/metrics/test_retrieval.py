from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.metrics.retrieval import retrieve


@st.composite
def galleries(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """Similarities with many ties, and owners in any order."""
    images = draw(st.integers(1, 6))
    owners = draw(st.permutations([*range(images), *draw(st.lists(st.integers(0, images - 1), max_size=8))]))
    flat = draw(st.lists(st.integers(-2, 2), min_size=images * len(owners), max_size=images * len(owners)))
    return np.array(flat, float).reshape(images, len(owners)), list(owners)


def first(scored: list[tuple[float, bool]]) -> int:
    """Place of the first right answer among (similarity, right), wrong ones first where similarities are equal."""
    ordered = sorted(scored, key=lambda answer: (-answer[0], answer[1]))
    return next(place for place, (_, right) in enumerate(ordered, 1) if right)


@given(galleries())
def test_ranks_are_those_of_sorting(gallery: tuple[np.ndarray, list[int]]) -> None:
    similarities, owners = gallery
    found = retrieve(similarities, owners)
    to_sentence = [
        first([(value, owner == image) for value, owner in zip(row, owners, strict=True)])
        for image, row in enumerate(similarities)
    ]
    to_image = [
        first([(value, image == owner) for image, value in enumerate(column)])
        for column, owner in zip(similarities.T, owners, strict=True)
    ]
    assert found.image_to_sentence.ranks.tolist() == to_sentence
    assert found.sentence_to_image.ranks.tolist() == to_image
    recalls = [np.mean([rank <= k for rank in ranks]) for ranks in (to_sentence, to_image) for k in (1, 5, 10)]
    assert found.mean_recall == pytest.approx(np.mean(recalls))
    assert found.image_to_sentence.to_json() == pytest.approx(
        {"R@1": recalls[0], "R@5": recalls[1], "R@10": recalls[2], "median rank": np.median(to_sentence)}
    )


@given(galleries(), st.data())
def test_the_order_of_pictures_does_not_matter(gallery: tuple[np.ndarray, list[int]], data: st.DataObject) -> None:
    similarities, owners = gallery
    order = data.draw(st.permutations(range(len(similarities))))
    found = retrieve(similarities, owners)
    moved = retrieve(similarities[order], [order.index(owner) for owner in owners])
    assert moved.to_json() == found.to_json()


def test_who_tells_nothing_apart_finds_nothing() -> None:
    found = retrieve(np.zeros((20, 100)), np.arange(100) // 5)
    assert found.mean_recall == 0
    assert found.sentence_to_image.median_rank == 20
    assert retrieve(np.eye(3), [0, 1, 2]).mean_recall == 1


@pytest.mark.parametrize(("shape", "owners"), [((2, 2), [0, 0]), ((2, 3), [0, 1]), ((1, 2), [0, 1]), ((0, 0), [])])
def test_galleries_that_do_not_fit_together(shape: tuple[int, int], owners: list[int]) -> None:
    with pytest.raises(ValueError, match="needs a picture"):
        retrieve(np.zeros(shape), owners)
