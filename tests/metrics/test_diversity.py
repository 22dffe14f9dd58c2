from __future__ import annotations

import numpy as np
import pytest

from capcli.metrics.diversity import Diversity, identity_statistics, length_statistics


def diversity(*sentences: str) -> dict[str, float]:
    part = Diversity([sentence.split() for sentence in sentences])
    return dict(zip(part.names, part.scores(np.ones((1, len(sentences))))[0], strict=True))


def test_types_are_counted_over_all_sentences() -> None:
    # Seven words of which a, dog, runs, cat differ; five bigrams of which only "a dog" comes again.
    assert diversity("a dog runs", "a cat", "a dog") == pytest.approx(
        {"distinct-1": 4 / 7, "distinct-2": 3 / 4, "vocabulary": 4}
    )


@pytest.mark.parametrize("sentences", [[""], ["", ""], ["word"]])
def test_sentences_too_short_for_bigrams(sentences: list[str]) -> None:
    assert diversity(*sentences)["distinct-2"] == 0.0


def test_no_words_at_all() -> None:
    assert diversity("", "") == {"distinct-1": 0.0, "distinct-2": 0.0, "vocabulary": 0.0}


@pytest.mark.parametrize(
    ("sentence", "repeats"),
    [
        ("a dog and a cat", False),
        ("a dog dog runs", True),
        ("a dog and a dog", True),
        ("dog runs dog", False),
        ("a a", True),
        ("a", False),
        ("", False),
    ],
)
def test_repetition(sentence: str, repeats: bool) -> None:
    words = sentence.split()
    per_image = length_statistics([words]).per_image()
    assert per_image["repetition"] == [repeats]
    assert per_image["length"] == [len(words)]


def test_copies_of_training_captions_are_equal_in_all_words() -> None:
    per_image = identity_statistics([["a", "dog"], ["a", "dog", "runs"], []], [("a", "dog"), ("runs",)]).per_image()
    np.testing.assert_array_equal(per_image["identical"], [1.0, 0.0, 0.0])
