from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_captioner import FakeCaptioner

av = pytest.importorskip("av")

from made_films import grey  # noqa: E402

from capcli.model.options import ModelOptions  # noqa: E402
from capcli.video.viewer import EncodingViewer, PairedViewer, make_viewer  # noqa: E402


class Foreign:
    """A captioner whose encoder cannot be asked."""

    size = 20
    options = FakeCaptioner.options

    def __init__(self, keeps_proportions: bool) -> None:
        self.keeps_proportions = keeps_proportions
        self.shapes: list[tuple[int, ...]] = []

    def caption_arrays(self, arrays: Any, options: Any) -> list[str]:
        self.shapes.append(arrays.shape)
        return [f"{array.mean():.0f}" for array in arrays]


def frame(level: int) -> Any:
    return av.VideoFrame.from_ndarray(grey(level), "rgb24")


@pytest.mark.parametrize(("proportions", "shape"), [(False, (2, 20, 20, 3)), (True, (2, 15, 20, 3))])
def test_a_captioner_without_an_encoder_borrows_the_one_that_ships(proportions: bool, shape: tuple[int, ...]) -> None:
    foreign, fake = Foreign(proportions), FakeCaptioner()
    viewer = make_viewer(foreign, foreign.options, ModelOptions(model="hf:any/thing", device="cpu"), fake.load)
    assert isinstance(viewer, PairedViewer)
    assert [(place.model, place.device) for place in fake.loaded] == [("base", "cpu")]
    vectors = viewer.look([viewer.prepare(frame(level), 1.0) for level in (20, 200, 40)])
    assert np.sign(vectors[:, 0]).tolist() == [-1, 1, -1]
    assert viewer.caption([1, 2]) == ["200", "40"]
    assert foreign.shapes == [shape]


def test_a_captioner_with_an_encoder_encodes_once_for_both() -> None:
    fake: Any = FakeCaptioner()
    viewer = make_viewer(fake, fake.options, ModelOptions(), fake.load)
    assert isinstance(viewer, EncodingViewer)
    assert viewer.look([viewer.prepare(frame(level), 1.0) for level in (20, 200)]).shape == (2, 3)
    assert [caption.text for caption in viewer.caption([1])] == ["brightness 200"]
    assert not fake.loaded
