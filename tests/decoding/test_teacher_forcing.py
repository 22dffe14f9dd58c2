from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from capcli.decoding.teacher_forcing import teacher_force
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder
from capcli.words.vocabulary import END, START

R, D, V = 6, 10, 13
GRID = (2, 3)
CAPTIONS = [[5, 6, 7, 8], [9, 4], []]


@pytest.fixture
def decoder(attending_variant: dict[str, Any], shaken: Callable[..., Any]) -> Decoder:
    return shaken(build_decoder(attending_variant, D, GRID, V)).requires_grad_(False)


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(len(CAPTIONS), R, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("gradients", [False, True])
def test_words_are_as_likely_as_under_teacher_forcing(decoder: Decoder, regions: Tensor, gradients: bool) -> None:
    for row, forced in enumerate(teacher_force(decoder, regions, CAPTIONS, gradients=gradients)):
        words = [START, *CAPTIONS[row], END]
        log_probabilities, attention = decoder(regions[row : row + 1], torch.tensor([words[:-1]]))
        expected = log_probabilities[0].gather(1, torch.tensor(words[1:]).unsqueeze(1)).squeeze(1)
        np.testing.assert_allclose(forced.log_probabilities, expected, rtol=1e-4, atol=1e-4)
        assert forced.attention is not None and attention is not None
        assert forced.attention.shape == (len(CAPTIONS[row]), *decoder.heads, R)
        np.testing.assert_allclose(forced.attention.mean((1, 2)), attention[0, :-1], rtol=1e-4, atol=1e-5)


def test_relevance_is_the_slope_of_a_word_by_a_gate_of_its_own_step(decoder: Decoder, regions: Tensor) -> None:
    decoder = decoder.double()
    regions = regions[:1].double()
    words, step = CAPTIONS[0], 2
    forced = teacher_force(decoder, regions, [words], gradients=True)[0]
    assert forced.relevance is not None
    with torch.no_grad():
        state = decoder.start(regions)
        for token in [START, *words][:step]:
            _, _, state = decoder.attend(torch.tensor([token]), state)

        def log_probability(place: tuple[int, int, int], gate: float) -> float:
            gates = torch.ones(1, *decoder.heads, R, dtype=torch.double)
            gates[(0, *place)] = gate
            log_probabilities, _, _ = decoder.attend(torch.tensor([words[step - 1]]), state, gates)
            return float(log_probabilities[0, words[step]])

        layers, heads = decoder.heads
        for place in [(0, 0, 0), (layers - 1, heads - 1, R - 1), (0, heads - 1, 3)]:
            slope = (log_probability(place, 1.05) - log_probability(place, 0.95)) / 0.1
            assert float(forced.relevance[(step, *place)]) == pytest.approx(slope, rel=2e-2, abs=2e-4)


def test_a_caption_is_the_same_alone_and_among_longer_ones(decoder: Decoder, regions: Tensor) -> None:
    together = teacher_force(decoder, regions, CAPTIONS, gradients=True)
    for row, caption in enumerate(CAPTIONS):
        alone = teacher_force(decoder, regions[row : row + 1], [caption], gradients=True)[0]
        for batched, single in (
            (together[row].log_probabilities, alone.log_probabilities),
            (together[row].attention, alone.attention),
            (together[row].relevance, alone.relevance),
        ):
            np.testing.assert_allclose(batched, single, rtol=1e-4, atol=1e-5)


def test_regions_from_inference_mode_have_gradients_too(decoder: Decoder, regions: Tensor) -> None:
    with torch.inference_mode():
        frozen = regions.clone()
        inside = teacher_force(decoder, frozen, CAPTIONS, gradients=True)
    outside = teacher_force(decoder, frozen, CAPTIONS, gradients=True)
    assert inside[0].relevance is not None and outside[0].relevance is not None
    assert np.abs(inside[0].relevance).sum() > 0
    np.testing.assert_allclose(inside[0].relevance, outside[0].relevance, rtol=1e-5, atol=1e-7)


def test_a_decoder_without_attention_tells_probabilities_alone(
    toy: Callable[..., Any], numbered: Callable[..., Tensor]
) -> None:
    blind = toy(5, attends=False)
    forced = teacher_force(blind, numbered(1), [[5, 6]], gradients=True)[0]
    expected = [float(blind.row(prefix)[word]) for prefix, word in (((1, 1), 5), ((1, 1, 5), 6), ((1, 1, 5, 6), END))]
    assert forced.log_probabilities.tolist() == pytest.approx(expected)
    assert forced.attention is None
    assert forced.relevance is None


def test_shares_of_a_sentinel_are_those_of_the_steps(
    tiny_settings: Callable[..., dict[str, Any]], shaken: Callable[..., Any], regions: Tensor
) -> None:
    decoder = shaken(build_decoder(tiny_settings("adaptive"), D, GRID, V)).requires_grad_(False)
    for row, forced in enumerate(teacher_force(decoder, regions, CAPTIONS)):
        state, shares = decoder.start(regions[row : row + 1]), []
        for word in [START, *CAPTIONS[row]][: len(CAPTIONS[row])]:
            _, _, state = decoder.step(torch.tensor([word]), state)
            shares.append(float(decoder.sentinel(state)))
        assert forced.sentinel is not None
        assert forced.sentinel.tolist() == pytest.approx(shares, abs=1e-5)
