"""Search with expected words, held to sums that are taken by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from capcli.arrays import Float32Array
from capcli.decoding.decode import decode
from capcli.decoding.options import DecodingOptions
from capcli.model.decoders.contract import Decoder
from capcli.words.vocabulary import END, START

WORDS, LONGEST, WEIGHT = 3, 3, 0.7
FIRST = END + 2
"""The index of the first word that can be said."""

Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


def options(weight: float, beams: int = 32) -> DecodingOptions:
    # Of length penalty 0 no search stops before it has seen all.
    return DecodingOptions(
        beam_size=beams, num_captions=beams, max_length=LONGEST, length_penalty=0, no_repeat_ngram=0, word_weight=weight
    )


def drawn(pictures: int, high: float = 0, words: int = WORDS) -> Float32Array:
    """What is expected of pictures, at random from -2 on, and nothing of the specials."""
    expected = np.random.default_rng(0).uniform(-2, high, (pictures, FIRST + words)).astype(np.float32)
    expected[:, :FIRST] = 0
    return expected


@torch.no_grad()
def logs(decoder: Decoder, regions: Tensor, caption: list[int]) -> list[float]:
    """Log-probabilities of the words of one picture's caption, and of its end."""
    state, found = decoder.start(regions), []
    for token, target in itertools.pairwise([START, *caption, END]):
        log_probabilities, _, state = decoder.step(torch.tensor([token]), state)
        found.append(float(log_probabilities[0, target]))
    return found


def earned(expected: Float32Array, caption: list[int]) -> float:
    """What a caption's words are worth: a word at first what is expected, and each further time that against it."""
    worth = [0.0] * len(caption)
    for place, word in enumerate(caption):
        worth[place] = -abs(float(expected[word])) if word in caption[:place] else float(expected[word])
    return sum(worth)


@pytest.mark.parametrize("high", [0.0, 2.0])
def test_captions_are_ranked_by_the_decoder_and_by_what_is_expected(toy: Toy, numbered: Regions, high: float) -> None:
    decoder, expected = toy(WORDS, end=0.5), drawn(2, high)
    found = decode(decoder, numbered(1, 2), options(WEIGHT), expected=expected)
    for picture, (hypotheses, row) in enumerate(zip(found, expected, strict=True), 1):
        assert len(hypotheses) > 10
        for hypothesis in hypotheses:
            reference = logs(decoder, numbered(picture), hypothesis.tokens)
            # What the model says of its words stays its own.
            assert [*hypothesis.log_probabilities, hypothesis.end_log_probability] == pytest.approx(reference, abs=1e-5)
            assert hypothesis.score == pytest.approx(sum(reference) + WEIGHT * earned(row, hypothesis.tokens), abs=1e-5)


def test_a_wide_beam_finds_the_best_of_all_captions(toy: Toy, numbered: Regions) -> None:
    tokens = range(FIRST, FIRST + WORDS)
    every = [list(c) for n in range(1, LONGEST + 1) for c in itertools.product(tokens, repeat=n)]
    decoder, expected = toy(WORDS), drawn(3)
    found = decode(decoder, numbered(1, 2, 3), options(WEIGHT), expected=expected)
    for picture, (hypotheses, row) in enumerate(zip(found, expected, strict=True), 1):
        scores = [sum(logs(decoder, numbered(picture), caption)) + WEIGHT * earned(row, caption) for caption in every]
        assert hypotheses[0].tokens == every[int(np.argmax(scores))]


@pytest.mark.parametrize("penalty", [0.5, 1.2, 2.0])
def test_a_search_does_not_stop_at_a_caption_that_a_beam_in_view_beats(
    toy: Toy, numbered: Regions, penalty: float
) -> None:
    decoder, expected = toy(2, end=1.0), np.full((4, FIRST + 2), 9, np.float32)
    expected[:, :FIRST] = 0
    few, many = (
        decode(
            decoder,
            numbered(1, 2, 3, 4),
            options(1, 32).replace(num_captions=count, length_penalty=penalty),
            expected=expected,
        )
        for count in (1, 32)
    )
    # Who is asked for all captions does not stop before all are found.
    assert [hypotheses[0].tokens for hypotheses in few] == [hypotheses[0].tokens for hypotheses in many]


def test_a_word_that_is_expected_is_said_and_one_that_is_not_is_avoided(toy: Toy, numbered: Regions) -> None:
    decoder, nothing = toy(WORDS, end=2.0), np.zeros((1, FIRST + WORDS), np.float32)
    for word in range(FIRST, FIRST + WORDS):
        for worth, count in ((20, 1), (-20, 0)):
            expected = nothing.copy()
            expected[0, word] = worth
            ((best,),) = decode(decoder, numbered(4), options(1, 3).replace(num_captions=1), expected=expected)
            assert best.tokens.count(word) == count


@pytest.mark.parametrize("beams", [1, 3])
def test_without_weight_nothing_changes(toy: Toy, numbered: Regions, beams: int) -> None:
    found = [
        decode(toy(7), numbered(*range(5)), options(0, beams), expected=expected)
        for expected in (None, drawn(5, 2, words=7))
    ]
    first, second = ([[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in result] for result in found)
    assert first == second
