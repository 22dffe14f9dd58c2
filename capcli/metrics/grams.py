"""N-grams of sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from capcli.metrics.statistics import Tokens

ORDERS = 4
"""Caption metrics look at 1-grams to 4-grams."""

Gram = tuple[Hashable, ...]


def count_grams(sentence: Tokens) -> Counter[Gram]:
    """How often each of a sentence's 1-grams to 4-grams occurs in it."""
    words = tuple(sentence)
    return Counter([words[i : i + n] for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1)])
