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
