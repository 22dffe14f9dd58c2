from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from capcli.caption import Caption
from capcli.video.cues import LEAST, Shown, make_cues

SHOWN = st.lists(st.tuples(st.integers(1, 50), st.sampled_from("abc")), max_size=12)


def make_caption(text: str) -> Caption:
    return Caption(text, (), 0.5)


@given(SHOWN, st.integers(1, 60))
def test_cues_follow_each_other_and_no_neighbours_are_equal(steps: list[tuple[int, str]], rest: int) -> None:
    time, shown = 0, []
    for step, text in steps:
        shown.append(Shown(float(time), make_caption(text)))
        time += step
    end = (shown[-1].time if shown else 0.0) + rest
    cues = list(make_cues(iter(shown), iter([end])))
    assert bool(cues) == bool(shown)
    if not shown:
        return
    assert cues[0].start == 0
    assert all(cue.end == following.start for cue, following in itertools.pairwise(cues))
    assert all(cue.seconds > 0 for cue in cues)
    assert all(cue.caption.text != following.caption.text for cue, following in itertools.pairwise(cues))
    assert cues[-1].end == max(end, cues[-1].start + LEAST)
    # At each time at which a frame was captioned, its caption is shown.
    for sample in shown:
        (found,) = [cue for cue in cues if cue.start <= sample.time < cue.end]
        assert found.caption.text == sample.caption.text


def test_a_cue_comes_as_soon_as_the_next_begins() -> None:
    asked = []

    def shown():  # type: ignore[no-untyped-def]
        for time, text in enumerate("aab"):
            asked.append(time)
            yield Shown(float(time), make_caption(text))

    cues = make_cues(shown(), iter([9.0]))
    assert next(cues).seconds == 2
    assert asked == [0, 1, 2]
    assert [cue.end for cue in cues] == [9]
