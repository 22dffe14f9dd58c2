from __future__ import annotations

from typing import Any

import pytest

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError


def test_the_ends_of_the_ranges_are_allowed() -> None:
    assert DecodingOptions(1, 1, 0).beam_size == 1
    assert DecodingOptions(32, 40, 4.0).max_length == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam-size must be 1 to 32, not 0"),
        ({"beam_size": 2.5}, "beam-size must be 1 to 32, not 2.5"),
        ({"max_length": 41}, "max-length must be 1 to 40, not 41"),
        ({"max_length": "9"}, "max-length must be 1 to 40, not '9'"),
        ({"length_penalty": -0.1}, "length-penalty must be 0.0 to 4.0, not -0.1"),
        ({"length_penalty": float("nan")}, "length-penalty must be 0.0 to 4.0, not nan"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        DecodingOptions(**options)
