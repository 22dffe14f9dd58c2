from __future__ import annotations

import pytest

from capcli.words.vocabulary import SPECIALS, UNKNOWN, Vocabulary

CAPTIONS = [["a", "dog", "runs"], ["a", "cat"], ["a", "dog"], ["the", "cat"]]


def test_frequent_words_come_first_and_ties_are_alphabetical() -> None:
    assert Vocabulary.build(CAPTIONS, 1).words == (*SPECIALS, "a", "cat", "dog", "runs", "the")


def test_rare_words_are_left_out() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, 2)
    assert vocabulary.words == (*SPECIALS, "a", "cat", "dog")
    assert len(vocabulary) == 7
    assert "dog" in vocabulary
    assert "runs" not in vocabulary


def test_encoding_and_decoding() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, 1)
    assert vocabulary.decode(vocabulary.encode(["the", "cat", "runs"])) == ["the", "cat", "runs"]
    assert vocabulary.encode(["zebra"]) == [UNKNOWN]
    assert vocabulary.encode([]) == []


def test_decoding_stops_at_the_end_and_skips_specials() -> None:
    vocabulary = Vocabulary([*SPECIALS, "a", "b"])
    assert vocabulary.decode([1, 4, 3, 0, 5, 2, 4]) == ["a", "b"]


@pytest.mark.parametrize("words", [[], ["a"], [*SPECIALS[::-1], "a"], [*SPECIALS, "a", "a"], [*SPECIALS, "<end>"]])
def test_a_list_that_is_no_vocabulary_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        Vocabulary(words)
