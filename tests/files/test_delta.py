from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.files.delta import apply_delta, make_delta

CHUNKS = st.lists(st.sampled_from([bytes([65 + i]) * 70 + bytes(range(i, 200)) for i in range(5)]) | st.binary())


@given(CHUNKS, CHUNKS)
def test_a_delta_leads_back_to_the_old_bytes(old: list[bytes], new: list[bytes]) -> None:
    assert apply_delta(make_delta(b"".join(old), b"".join(new)), b"".join(new)) == b"".join(old)


@pytest.mark.parametrize("place", [0, 2, 500_000, 1_000_000])
def test_a_delta_of_files_that_differ_in_one_place_is_small(place: int) -> None:
    old = random.Random(0).randbytes(1_000_000)
    new = old[:place] + b"metadata " * 1000 + old[place + 20 :]
    assert len(make_delta(old, new)) < 200
    assert apply_delta(make_delta(old, new), new) == old


def test_a_delta_of_unlike_files_takes_no_time_for_ever() -> None:
    old, new = (random.Random(seed).randbytes(4_000_000) for seed in (1, 2))
    assert apply_delta(make_delta(old, new), new) == old


@pytest.mark.parametrize("broken", [b"", b"no deflated bytes", make_delta(b"a" * 100, b"")[:-3]])
def test_a_broken_delta_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError):
        apply_delta(broken, b"")
