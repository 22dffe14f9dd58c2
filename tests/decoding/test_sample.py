from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from capcli.decoding.beam import beam_search
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.sample import sample, sample_distinct
from capcli.decoding.teacher_forcing import teacher_force
from capcli.decoding.torch_speaker import TorchSpeaker
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder
from capcli.words.vocabulary import END, PAD, SPECIALS, START, UNKNOWN

Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def free(longest: int, **options: Any) -> DecodingOptions:
    """Options of sampling that forbid no repeats."""
    return DecodingOptions(**({"sample": True, "max_length": longest, "no_repeat_ngram": 0} | options))


def draw(decoder: Decoder, regions: Tensor, count: int, longest: int, **options: Any) -> list[list[Hypothesis]]:
    uniforms = torch.rand(len(regions), count, longest, generator=seeded())
    return sample(decoder, regions, free(longest, **options), uniforms)


def greedy(decoder: Decoder, regions: Tensor, longest: int) -> list[list[int]]:
    options = DecodingOptions(beam_size=1, max_length=longest, no_repeat_ngram=0)
    return [found[0].tokens for found in beam_search(TorchSpeaker(decoder), regions, options)]


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0}, {"top_p": 0.5}, {"top_k": 3}, {"length_penalty": 0.5}])
def test_log_probabilities_are_the_models_own(toy: Toy, numbered: Regions, options: dict[str, float]) -> None:
    decoder, penalty = toy(6, end=0.5), options.get("length_penalty", 1.0)
    for picture, captions in enumerate(draw(decoder, numbered(0, 1), 5, 4, **options)):
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
            assert drawn.score == pytest.approx(sum(expected) / len(expected) ** penalty, abs=1e-5)
            assert np.array_equal(drawn.attention, np.eye(7)[: len(drawn.tokens)])


@pytest.mark.parametrize("options", [{"top_p": 1e-6}, {"top_k": 1}, {"temperature": 0.05, "top_p": 0.5}])
def test_no_freedom_is_greedy(toy: Toy, numbered: Regions, options: dict[str, Any]) -> None:
    decoder, regions = toy(9), numbered(1, 2, 3)
    drawn = draw(decoder, regions, 3, 6, **options)
    assert [[h.tokens for h in captions] for captions in drawn] == [[best] * 3 for best in greedy(decoder, regions, 6)]


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"),
    [(1.0, 1.0, 0), (0.5, 1.0, 0), (2.0, 1.0, 0), (1.0, 0.6, 0), (1.0, 1.0, 2), (2.0, 0.7, 3), (1.0, 1.0, 10**9)],
)
def test_frequencies_are_the_models(toy: Toy, numbered: Regions, temperature: float, top_p: float, top_k: int) -> None:
    decoder, count = toy(5), 4000
    (drawn,) = draw(decoder, numbered(3), count, 1, temperature=temperature, top_p=top_p, top_k=top_k)
    row = decoder.row((3, START))
    row[[PAD, START, UNKNOWN, END]] = -torch.inf
    ordered = (row / temperature).softmax(-1).sort(descending=True)
    values, indices = ordered.values[: top_k or None], ordered.indices[: top_k or None]
    values = values / values.sum()
    kept = int((values.cumsum(0) < top_p).sum()) + 1
    expected = dict.fromkeys(range(len(SPECIALS), 9), 0.0)
    expected |= zip(indices[:kept].tolist(), (values[:kept] / values[:kept].sum()).tolist(), strict=True)
    counts = Counter(h.tokens[0] for h in drawn)
    for word in range(len(SPECIALS), 9):
        share = expected[word]
        assert counts[word] / count == pytest.approx(share, abs=4 * (share * (1 - share) / count) ** 0.5)


@pytest.mark.parametrize("end", [-float("inf"), 0.0, 20.0])
def test_captions_have_words_and_no_more_than_allowed(toy: Toy, numbered: Regions, end: float) -> None:
    for captions in draw(toy(5, end=end), numbered(1, 2), 6, 3):
        for drawn in captions:
            assert 1 <= len(drawn.tokens) <= 3
            assert min(drawn.tokens) >= len(SPECIALS)
            assert len(drawn.log_probabilities) == len(drawn.tokens) == len(drawn.attention)


def test_a_caption_that_can_neither_end_nor_go_on_is_cut(toy: Toy, numbered: Regions) -> None:
    for captions in draw(toy(2), numbered(1, 2), 4, 6, min_length=5, no_repeat_ngram=1):
        assert {tuple(sorted(h.tokens)) for h in captions} == {(4, 5)}
        assert {h.end_log_probability for h in captions} == {None}


def test_real_decoders_draw_with_attention(attending_variant: dict[str, Any], shaken: Any) -> None:
    decoder = shaken(build_decoder(attending_variant, 10, (2, 3), 20))
    for captions in draw(decoder, torch.randn(2, 6, 10, generator=seeded()), 3, 5):
        for drawn in captions:
            assert drawn.attention.shape == (len(drawn.tokens), 6)
            np.testing.assert_allclose(drawn.attention.sum(-1), 1, rtol=1e-5)


def test_a_sentinels_shares_are_those_of_their_words(tiny_settings: Any, shaken: Any) -> None:
    decoder = shaken(build_decoder(tiny_settings("adaptive"), 10, (2, 3), 20))
    regions = torch.randn(2, 6, 10, generator=seeded())
    for picture, captions in enumerate(draw(decoder, regions, 3, 5)):
        for drawn in captions:
            (forced,) = teacher_force(decoder, regions[picture : picture + 1], [drawn.tokens])
            np.testing.assert_allclose(drawn.sentinel, forced.sentinel, rtol=1e-3, atol=1e-4)


def test_a_decoder_without_attention(toy: Toy, numbered: Regions) -> None:
    assert draw(toy(4, attends=False), numbered(1), 1, 4)[0][0].attention is None


@pytest.mark.parametrize("count", [1, 3, 6])
def test_as_many_different_captions_as_asked_for(toy: Toy, numbered: Regions, count: int) -> None:
    for captions in sample_distinct(toy(3), numbered(1, 2, 3), free(6, num_captions=count), [1, 2, 3]):
        assert len({tuple(h.tokens) for h in captions}) == len(captions) == count


def test_fewer_where_there_are_no_more(toy: Toy, numbered: Regions) -> None:
    decoder, regions = toy(9), numbered(1, 2)
    found = sample_distinct(decoder, regions, free(6, num_captions=4, top_k=1), [1, 2])
    assert [[h.tokens for h in captions] for captions in found] == [[best] for best in greedy(decoder, regions, 6)]


def test_the_first_caption_drawn_is_kept_when_more_are_asked_for(toy: Toy, numbered: Regions) -> None:
    # Fair draws: captions are sorted afterwards, not chosen for their score.
    decoder, regions = toy(9), numbered(*range(5))
    first = sample_distinct(decoder, regions, free(5), range(5))
    more = sample_distinct(decoder, regions, free(5, num_captions=3), range(5))
    assert all(single.tokens in [h.tokens for h in captions] for (single,), captions in zip(first, more, strict=True))
