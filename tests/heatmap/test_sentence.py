from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_captions import caption, word

from capcli.heatmap.sentence import parts, probability
from capcli.words.tokens import detokenize


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.624, "62 %"), (0.999, "100 %"), (1.0, "100 %"), (0.005, "1 %"), (0.0049, "<1 %"), (None, "unknown")],
)
def test_probabilities_are_told_in_whole_percent(share: float | None, expected: str) -> None:
    assert probability(word("dog", share)) == expected


def test_words_are_found_in_the_sentence_as_it_is_spelt() -> None:
    found = list(parts(caption(["the", "man", "'s", "dog", "does", "n't"], "The man's dog doesn't.")))
    assert [text for text, place in found if place is not None] == ["The", "man", "'s", "dog", "does", "n't"]
    assert [place for _, place in found if place is not None] == [0, 1, 2, 3, 4, 5]
    assert "".join(text for text, _ in found) == "The man's dog doesn't."


def test_some_of_the_words_are_found_too() -> None:
    found = [(text, place) for text, place in parts(caption(["dog", "ball"], "A dog and a ball.")) if place is not None]
    assert found == [("dog", 0), ("ball", 1)]


def test_words_that_are_not_in_the_sentence_take_its_place() -> None:
    found = list(parts(caption(["dog", "ball"], "A cat.")))
    assert [(text, place) for text, place in found if place is not None] == [("dog", 0), ("ball", 1)]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "dog", "'s", "n't", "i", "and/or", "-lrb-", "u.s.", "3,000"]), max_size=8))
def test_every_word_has_one_part_in_order(words: list[str]) -> None:
    found = list(parts(caption(words, detokenize(words))))
    assert [place for _, place in found if place is not None] == list(range(len(words)))
