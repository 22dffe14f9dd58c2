from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from capcli.decoding.beam import beam_search
from capcli.decoding.options import DecodingOptions
from capcli.decoding.sample import sample
from capcli.model.decoder import build_decoder, decoders
from capcli.model.vocabulary import END, PAD, SPECIALS, START, UNKNOWN

Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_seed_draws_the_same_captions(toy: Toy, numbered: Regions) -> None:
    def draw(seed: int) -> list[list[list[int]]]:
        drawn = sample(toy(9), numbered(1, 2), 4, 6, generator=seeded(seed))
        return [[h.tokens for h in captions] for captions in drawn]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0}, {"top_p": 0.5}])
def test_log_probabilities_are_the_models_own(toy: Toy, numbered: Regions, options: dict[str, float]) -> None:
    decoder = toy(6, end=0.5)
    for picture, captions in enumerate(sample(decoder, numbered(0, 1), 5, 4, generator=seeded(), **options)):
        assert len(captions) == 5
        for drawn in captions:
            rows = [decoder.row((picture, START, *drawn.tokens[:n])) for n in range(len(drawn.tokens) + 1)]
            expected = [float(row[token]) for row, token in zip(rows, [*drawn.tokens, END], strict=True)]
            assert drawn.log_probabilities == pytest.approx(expected[:-1], abs=1e-5)
            assert (drawn.end_log_probability is None) == (len(drawn.tokens) == 4)
            if drawn.end_log_probability is None:
                expected.pop()
            else:
                assert drawn.end_log_probability == pytest.approx(expected[-1], abs=1e-5)
            assert drawn.score == pytest.approx(sum(expected) / len(expected), abs=1e-5)
            assert torch.equal(drawn.attention, torch.eye(7)[: len(drawn.tokens)])


def test_a_tiny_nucleus_is_greedy(toy: Toy, numbered: Regions) -> None:
    decoder = toy(9)
    greedy = beam_search(decoder, numbered(1, 2, 3), DecodingOptions(1, 6, 1.0))
    drawn = sample(decoder, numbered(1, 2, 3), 3, 6, top_p=1e-6, generator=seeded())
    assert [[h.tokens for h in captions] for captions in drawn] == [[best.tokens] * 3 for (best,) in greedy]


def test_a_low_temperature_is_greedy(toy: Toy, numbered: Regions) -> None:
    greedy = beam_search(toy(9), numbered(1), DecodingOptions(1, 6, 1.0))[0][0].tokens
    assert {tuple(h.tokens) for h in sample(toy(9), numbered(1), 5, 6, temperature=1e-3)[0]} == {tuple(greedy)}


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.6)])
def test_frequencies_are_the_models(toy: Toy, numbered: Regions, temperature: float, top_p: float) -> None:
    decoder, count = toy(5), 4000
    drawn = sample(decoder, numbered(3), count, 1, temperature=temperature, top_p=top_p, generator=seeded())[0]
    row = decoder.row((3, START))
    row[[PAD, START, UNKNOWN, END]] = -torch.inf
    shares = (row / temperature).softmax(-1)
    ordered = shares.sort(descending=True)
    kept = ordered.indices[: int((ordered.values.cumsum(0) < top_p).sum()) + 1]
    nucleus = torch.zeros_like(shares)
    nucleus[kept] = shares[kept] / shares[kept].sum()
    counts = Counter(h.tokens[0] for h in drawn)
    for word in range(len(SPECIALS), 9):
        expected = float(nucleus[word])
        assert counts[word] / count == pytest.approx(expected, abs=4 * (expected * (1 - expected) / count) ** 0.5)


@pytest.mark.parametrize("end", [-float("inf"), 0.0, 20.0])
def test_captions_have_words_and_no_more_than_allowed(toy: Toy, numbered: Regions, end: float) -> None:
    for captions in sample(toy(5, end=end), numbered(1, 2), 6, 3, generator=seeded()):
        for drawn in captions:
            assert 1 <= len(drawn.tokens) <= 3
            assert min(drawn.tokens) >= len(SPECIALS)
            assert len(drawn.log_probabilities) == len(drawn.tokens) == len(drawn.attention)


@pytest.mark.parametrize("name", sorted(decoders()))
def test_real_decoders_draw_with_attention(name: str, tiny_settings: Any, shaken: Any) -> None:
    decoder = shaken(build_decoder(tiny_settings(name), 10, 6, 20))
    for captions in sample(decoder, torch.randn(2, 6, 10, generator=seeded()), 3, 5, generator=seeded()):
        for drawn in captions:
            assert drawn.attention.shape == (len(drawn.tokens), 6)
            torch.testing.assert_close(drawn.attention.sum(-1), torch.ones(len(drawn.tokens)))


def test_a_decoder_without_attention(toy: Toy, numbered: Regions) -> None:
    assert sample(toy(4, attends=False), numbered(1), 1, 4, generator=seeded())[0][0].attention is None


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_p": -1.0}]
)
def test_values_out_of_range(toy: Toy, numbered: Regions, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature must be above 0 and top_p above 0 and at most 1"):
        sample(toy(4), numbered(1), 1, 4, **options)
