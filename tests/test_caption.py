from __future__ import annotations

import numpy as np

from capcli.caption import Caption, Word


def test_captions_and_words_are_short_to_print() -> None:
    word = Word("dog", -0.1857, np.zeros((7, 7), np.float32), np.zeros((3, 8, 7, 7), np.float32))
    caption = Caption(
        "A dog.", (word,) * 12, 0.7144, tuple(Caption(f"A cat {n}.", (word,), 0.2) for n in range(2)), True
    )
    assert repr(word) == "Word('dog', log_probability=-0.186)"
    assert repr(caption) == "Caption('A dog.', confidence=0.714, uncertain=True)"
    assert f"{list(caption.alternatives)}" == (
        "[Caption('A cat 0.', confidence=0.200), Caption('A cat 1.', confidence=0.200)]"
    )
    assert str(caption) == "A dog."


def test_captions_are_compared_and_counted_by_what_they_say() -> None:
    def make(text: str, weight: float) -> Caption:
        weights = np.full((7, 7), weight, np.float32)
        return Caption("A dog.", (Word(text, -0.5, weights, weights[None, None]),), 0.7)

    assert make("dog", 0.1) == make("dog", 0.2)
    assert make("dog", 0.1) != make("cat", 0.1)
    assert len({make("dog", 0.1), make("dog", 0.2), make("cat", 0.1)}) == 2
