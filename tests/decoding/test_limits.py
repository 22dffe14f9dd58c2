from __future__ import annotations

from typing import Any

import pytest
import torch

from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError
from capcli.words.vocabulary import END

A, B, C = 4, 5, 6


def next_words(tokens: list[int], prefix: tuple[int, ...] = (), **options: Any) -> set[int]:
    """Of the words A, B, C and the end those that may follow."""
    log_probabilities = torch.randn(1, 7).log_softmax(-1)
    left = allowed(log_probabilities, torch.tensor([tokens], dtype=torch.long), DecodingOptions(**options), prefix)
    kept = left > -torch.inf
    assert torch.equal(left[kept], log_probabilities[kept])
    return set(kept[0].nonzero().flatten().tolist())


@pytest.mark.parametrize(
    ("tokens", "n", "expected"),
    [
        ([], 0, {A, B, C}),
        ([A], 0, {A, B, C, END}),
        ([A], 3, {B, C, END}),
        ([A, B], 1, {C, END}),
        ([A, B, A], 2, {C, END}),
        ([A, B, A], 3, {B, C, END}),
        ([A, B, C, A, B], 3, {A, END}),
        ([A, B, C, A, C], 3, {A, B, END}),
    ],
)
def test_neither_a_run_nor_the_word_just_said_is_repeated(tokens: list[int], n: int, expected: set[int]) -> None:
    assert next_words(tokens, no_repeat_ngram=n) == expected


@pytest.mark.parametrize(("tokens", "ends"), [([A], False), ([A, B], False), ([A, B, C], True)])
def test_the_end_comes_after_the_shortest_caption(tokens: list[int], ends: bool) -> None:
    assert (END in next_words(tokens, min_length=3)) == ends


def test_nothing_but_the_end_comes_after_the_longest_caption() -> None:
    assert next_words([A, B], max_length=2) == {END}
    assert next_words([A], max_length=2) == {B, C, END}


def test_the_prefix_comes_first_even_if_it_repeats_itself() -> None:
    prefix = (A, A, B, A, A)
    assert [next_words(list(prefix[:n]), prefix) for n in range(5)] == [{word} for word in prefix]
    # What follows may repeat nothing of it.
    assert next_words(list(prefix), prefix) == {C, END}


def test_the_given_log_probabilities_stay_as_they_are() -> None:
    given = torch.zeros(2, 3, 7)
    allowed(given, torch.zeros(2, 3, 0, dtype=torch.long), DecodingOptions())
    assert torch.equal(given, torch.zeros(2, 3, 7))


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
@pytest.mark.parametrize("prefix", [(), (A,)])
def test_a_broken_model_is_told(value: float, prefix: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="log-probabilities are no numbers"):
        allowed(torch.full((1, 7), value), torch.zeros(1, 0, dtype=torch.long), DecodingOptions(), prefix)
