"""The exact sign test: how often a fair coin would fall as unevenly as people's preferences did."""

from __future__ import annotations


def sign_test(first: int, second: int) -> float | None:
    """Two-sided p-value of the hypothesis that neither side is preferred, above 0 and at most 1 (Dixon and Mood 1946).

    Ties say nothing about it and are not counted. The distribution is the binomial one itself, no approximation.

    Args:
        first: how often the first side was preferred.
        second: how often the second one was.

    Returns:
        The share of the outcomes of first + second throws that are at most as likely; None without any throws.

    Raises:
        ValueError: a count is below 0.
    """
    if first < 0 or second < 0:
        raise ValueError("a count is below 0")
    throws, fewer = first + second, min(first, second)
    if not throws:
        return None
    # Both tails, and for equal counts, whose tails share the middle, everything. Whole numbers of any length divide.
    term = tail = 1
    for k in range(1, fewer + 1):
        term = term * (throws - k + 1) // k
        tail += term
    return float(min(1, 2 * tail / 2**throws))
