from __future__ import annotations

import pytest

from capcli.words.counting import agree, count_of


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 captions are"), (1, "1 caption is"), (2, "2 captions are"), (1200, "1,200 captions are")],
)
def test_noun_and_verb_agree_with_their_number(number: int, expected: str) -> None:
    assert count_of(number, "caption", "is", "are") == expected
    assert count_of(number, "caption") == expected.rpartition(" ")[0]
    assert agree(number, "is", "are") == expected.rpartition(" ")[2]
