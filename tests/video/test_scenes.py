from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capcli.video.scenes import Scenes


def at(*degrees: float) -> np.ndarray:  # type: ignore[type-arg]
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_a_frame_begins_a_scene_where_it_is_far_from_the_one_captioned_last() -> None:
    scenes = Scenes(0.5)  # the cosine of 60 degrees
    # A slow turn is a change, too, once it has gone far enough.
    assert scenes.find(at(0, 25, 50, 75, 100, 130, 140)).tolist() == [True, False, False, True, False, False, True]
    assert scenes.find(at(141, 300)).tolist() == [False, True]


def test_how_long_vectors_are_does_not_matter_and_none_is_too_short() -> None:
    assert Scenes(0.5).find(at(0, 10) * np.float32([[1e-3], [1e6]])).tolist() == [True, False]
    assert Scenes(0.5).find(np.zeros((3, 4), np.float32)).tolist() == [True, True, True]


@given(st.lists(st.floats(0, 360), min_size=1, max_size=20), st.integers(0, 20), st.floats(0, 2))
def test_scenes_do_not_depend_on_how_frames_are_handed_over(degrees: list[float], cut: int, least: float) -> None:
    whole, parts = Scenes(least), Scenes(least)
    together = whole.find(at(*degrees))
    apart = [parts.find(part) for part in (at(*degrees)[:cut], at(*degrees)[cut:]) if len(part)]
    assert together.tolist() == np.concatenate(apart).tolist()
    assert together[0]
    if least == 0:
        assert Scenes(0).find(at(5, 5, 5)).all()
