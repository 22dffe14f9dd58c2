from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.metrics.sign_test import sign_test

counts = st.integers(0, 300)


def binomial(first: int, second: int) -> float:
    # Here, for it takes a second to import, in every process that tests run in.
    return float(pytest.importorskip("scipy.stats").binomtest(first, first + second).pvalue)


def test_the_example_of_a_handbook() -> None:
    # Zar (1999), Biostatistical Analysis: of ten deer, eight have longer hind legs and two longer forelegs.
    assert sign_test(8, 2) == pytest.approx(0.109375, abs=0)


@given(counts, counts)
def test_it_is_the_binomial_test(first: int, second: int) -> None:
    p = sign_test(first, second)
    assert p == sign_test(second, first)
    if first + second:
        assert p == pytest.approx(binomial(first, second), rel=1e-9)
    else:
        assert p is None


def test_many_answers_are_exact_too() -> None:
    assert sign_test(5000, 5200) == pytest.approx(binomial(5000, 5200), rel=1e-9)
    assert sign_test(3000, 0) == 0.0 or sign_test(3000, 0) == pytest.approx(2.0**-2999)


def test_a_count_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        sign_test(-1, 2)
