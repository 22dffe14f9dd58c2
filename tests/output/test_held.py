"""What a file of rows holds of very many pictures."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.output import State
from capcli.output import held as module
from capcli.output.held import Held

PATHS = st.lists(st.sampled_from(["a", "b\udcff", ".", "..", "/", "//", "x\0y", "Ä ", ""]), min_size=1, max_size=4).map(
    lambda parts: "/".join(parts)
)


def absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows links


@given(st.lists(st.tuples(PATHS, st.sampled_from(State))), st.lists(PATHS), st.integers(0, 3))
def test_states_are_found_by_every_spelling_as_in_a_dictionary(
    rows: list[tuple[str, State]], gone: list[str], at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_NAMES", at_once)
        held, expected = Held(), {absolute(path): state for path, state in rows}
        for path, state in rows:
            held.put(path, state)
        assert len(held) == len(expected)
        held.drop(held.keys(gone))
        for path in gone:
            expected.pop(absolute(path), None)
        for path, _ in (*rows, *((path, None) for path in gone)):
            folder, name = os.path.split(path)
            assert held.state(path) is held.states(folder, [name])[0] is expected.get(absolute(path))
        assert len(held) == len(expected)


def test_a_picture_takes_few_bytes(tmp_path: Path) -> None:
    names = [f"IMG_{number:07}.jpg" for number in range(20_000)]
    held = Held()
    tracemalloc.start()
    for number, name in enumerate(names):
        held.put(f"{tmp_path}/{number // 1000}/{name}", State.CAPTIONED)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 20_000 * 25
    assert held.states(f"{tmp_path}/3", names[3000:3002]) == [State.CAPTIONED, State.CAPTIONED]
