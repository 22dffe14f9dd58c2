from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from capcli.decoding import beam
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.teacher_forcing import teacher_force
from capcli.decoding.torch_speaker import TorchSpeaker
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder, decoders
from capcli.words.vocabulary import END, PAD, SPECIALS, START, UNKNOWN

NEVER = -1e9
Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


def beam_search(decoder: Decoder, *arguments: Any) -> list[list[Hypothesis]]:
    return beam.beam_search(TorchSpeaker(decoder), *arguments)


def plain(beams: int, longest: int, penalty: float, **options: Any) -> DecodingOptions:
    """Options that ask for every beam and forbid nothing."""
    chosen = {"num_captions": beams, "beam_size": beams, "max_length": longest, "length_penalty": penalty}
    return DecodingOptions(**(chosen | {"no_repeat_ngram": 0} | options))


def every_caption(words: int, longest: int) -> list[list[int]]:
    """All captions of 1 to `longest` words."""
    tokens = range(len(SPECIALS), len(SPECIALS) + words)
    return [list(c) for n in range(1, longest + 1) for c in itertools.product(tokens, repeat=n)]


@torch.no_grad()
def score(decoder: Decoder, regions: Tensor, caption: list[int], penalty: float) -> float:
    """The length-normalised log-probability of a caption of one picture, end included."""
    state, total = decoder.start(regions), 0.0
    for token, target in itertools.pairwise([START, *caption, END]):
        log_probabilities, _, state = decoder.step(torch.tensor([token]), state)
        total += float(log_probabilities[0, target])
    return total / (len(caption) + 1) ** penalty


def exhaustive(decoder: Decoder, regions: Tensor, words: int, longest: int, penalty: float) -> tuple[list[int], float]:
    captions = every_caption(words, longest)
    scores = [score(decoder, regions, caption, penalty) for caption in captions]
    best = max(range(len(captions)), key=scores.__getitem__)
    return captions[best], scores[best]


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("words", "longest"), [(4, 2), (3, 3), (2, 4), (1, 5)])
@pytest.mark.parametrize("end", [-2.0, 0.0, 3.0])
def test_a_wide_beam_finds_what_exhaustive_search_finds(
    toy: Toy, numbered: Regions, words: int, longest: int, penalty: float, end: float
) -> None:
    decoder = toy(words, end=end)
    found = beam_search(decoder, numbered(1, 2, 3), plain(32, longest, penalty))
    for picture, hypotheses in enumerate(found, 1):
        caption, expected = exhaustive(decoder, numbered(picture), words, longest, penalty)
        assert hypotheses[0].tokens == caption
        assert hypotheses[0].score == pytest.approx(expected, abs=1e-5)


def permitted(caption: list[int], given: int, n: int) -> bool:
    """Whether no word after the `given` first ones repeats the word before it or completes a second run of n."""

    def repeats(tokens: list[int]) -> bool:
        runs = [tokens[start : start + n] for start in range(len(tokens) - n + 1)]
        return tokens[-1:] == tokens[-2:-1] or (runs != [] and runs[-1] in runs[:-1])

    return not n or not any(repeats(caption[:length]) for length in range(given + 1, len(caption) + 1))


@settings(max_examples=40, deadline=None)
@given(
    words=st.integers(1, 3), longest=st.integers(1, 3), least=st.integers(0, 3), n=st.integers(0, 3),
    prefix=st.lists(st.integers(4, 6), max_size=3), penalty=st.sampled_from([0.0, 0.7, 2.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_within_all_limits_a_wide_beam_is_exhaustive(
    toy: Toy, numbered: Regions, words: int, longest: int, least: int, n: int, prefix: list[int], penalty: float,
    seed: int,
) -> None:  # fmt: skip
    least, prefix = min(least, longest), [min(word, 3 + words) for word in prefix[:longest]]
    decoder, regions = toy(words, end=-1.0, seed=seed), numbered(3)
    options = plain(32, longest, penalty, min_length=least, no_repeat_ngram=n)
    expected = {
        tuple(caption): score(decoder, regions, caption, penalty)
        for caption in every_caption(words, longest)
        if len(caption) >= least and caption[: len(prefix)] == prefix and permitted(caption, len(prefix), n)
    }
    (found,) = beam_search(decoder, regions, options, prefix)
    ended = [h for h in found if h.end_log_probability is not None]
    assert found
    assert found[: len(ended)] == ended
    assert [h.score for h in ended] == pytest.approx(sorted(expected.values(), reverse=True)[:32], abs=1e-5)
    assert [h.score for h in ended] == pytest.approx([expected[tuple(h.tokens)] for h in ended], abs=1e-5)


@pytest.mark.parametrize("beams", [1, 3, 5])
def test_fewer_captions_are_the_first_of_more(toy: Toy, numbered: Regions, beams: int) -> None:
    def found(count: int) -> list[list[list[int]]]:
        options = plain(beams, 5, 0.8, num_captions=count)
        return [[h.tokens for h in hypotheses] for hypotheses in beam_search(toy(7), numbered(*range(6)), options)]

    most = found(beams)
    for count in range(1, beams):
        assert found(count) == [captions[:count] for captions in most]


def test_the_decoder_is_asked_no_more_than_needed(toy: Toy, numbered: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = TorchSpeaker.step
    monkeypatch.setattr(TorchSpeaker, "step", lambda *given: (rows.append(len(given[1])), real(*given))[1])

    def asked(count: int, end: float) -> list[int]:
        rows.clear()
        beam_search(toy(7, end=end), numbered(*range(6)), plain(3, 8, 1.0, num_captions=count))
        return list(rows)

    # Before the first word there is one beam of each picture, and one that never ends goes on to the last step.
    assert asked(1, NEVER) == [6] + [18] * 8
    assert asked(1, 3.0)[0] == 6
    # The best caption is known before the second best is.
    assert sum(asked(1, 3.0)) < sum(asked(2, 3.0)) < sum(asked(3, 3.0))


@pytest.mark.parametrize(("words", "longest", "sayable"), [(2, 2, 6), (3, 1, 3), (1, 5, 5)])
@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_there_are_as_many_captions_as_asked_for_or_sayable(
    toy: Toy, numbered: Regions, words: int, longest: int, sayable: int, count: int
) -> None:
    options = plain(1, longest, 1.0, num_captions=count)
    for end in (-30.0, 0.0, 5.0):
        for hypotheses in beam_search(toy(words, end=end), numbered(1, 2), options):
            assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses) == min(count, sayable)


def test_a_caption_that_can_neither_end_nor_go_on_is_cut(toy: Toy, numbered: Regions) -> None:
    options = plain(4, 6, 1.0, min_length=5, no_repeat_ngram=1)
    for hypotheses in beam_search(toy(2), numbered(1, 2), options):
        assert sorted(h.tokens for h in hypotheses) == [[4, 5], [5, 4]]
        assert {h.end_log_probability for h in hypotheses} == {None}


@pytest.mark.parametrize("end", [-5.0, 20.0])
def test_the_log_probabilities_of_the_prefix_are_the_models(toy: Toy, numbered: Regions, end: float) -> None:
    decoder, prefix = toy(6, end=end), [5, 5, 9]
    for hypothesis in beam_search(decoder, numbered(2), plain(3, 5, 1.0), prefix)[0]:
        rows = [decoder.row((2, START, *prefix[:n])) for n in range(3)]
        assert hypothesis.tokens[:3] == prefix
        expected = [float(row[word]) for row, word in zip(rows, prefix, strict=True)]
        assert hypothesis.log_probabilities[:3] == pytest.approx(expected, abs=1e-5)


def test_a_wide_beam_ranks_all_captions(toy: Toy, numbered: Regions) -> None:
    decoder, regions = toy(2), numbered(5)
    expected = sorted((-score(decoder, regions, caption, 1.0), caption) for caption in every_caption(2, 3))
    found = beam_search(decoder, regions, plain(32, 3, 1.0))[0]
    assert [h.tokens for h in found] == [caption for _, caption in expected]


@pytest.mark.parametrize("name", sorted(decoders()))
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.5])
def test_a_wide_beam_is_exhaustive_with_real_decoders(
    name: str, penalty: float, tiny_settings: Any, shaken: Any
) -> None:
    decoder = shaken(build_decoder(tiny_settings(name), 10, (2, 3), 4 + 3))
    regions = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(4))
    found = beam_search(decoder, regions, plain(32, 3, penalty))
    for picture in range(2):
        caption, expected = exhaustive(decoder, regions[picture : picture + 1], 3, 3, penalty)
        assert found[picture][0].tokens == caption
        assert found[picture][0].score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("end", [-1.0, 1.0, 3.0])
def test_a_beam_of_one_is_greedy(toy: Toy, numbered: Regions, penalty: float, end: float) -> None:
    decoder = toy(6, end=end)
    for picture in range(8):
        prefix: tuple[int, ...] = (picture, START)
        while len(prefix) - 2 < 6:
            row = decoder.row(prefix)
            row[[PAD, START, UNKNOWN, *([END] if len(prefix) == 2 else [])]] = -torch.inf
            if row.argmax() == END:
                break
            prefix = (*prefix, int(row.argmax()))
        (found,) = beam_search(decoder, numbered(picture), plain(1, 6, penalty))
        assert [h.tokens for h in found] == [list(prefix[2:])]
        assert found[0].score == pytest.approx(score(decoder, numbered(picture), found[0].tokens, penalty), abs=1e-5)


def same(first: Hypothesis, second: Hypothesis) -> None:
    assert first.tokens == second.tokens
    assert first.log_probabilities == pytest.approx(second.log_probabilities, abs=1e-4)
    assert first.end_log_probability == pytest.approx(second.end_log_probability, abs=1e-4)
    assert first.score == pytest.approx(second.score, abs=1e-4)
    assert (first.attention is None) == (second.attention is None)
    if first.attention is not None and second.attention is not None:
        np.testing.assert_allclose(first.attention, second.attention, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_batch_is_its_pictures_one_by_one(toy: Toy, numbered: Regions, beams: int) -> None:
    decoder, options = toy(9, end=1.0), plain(beams, 7, 0.8)
    together = beam_search(decoder, numbered(*range(6)), options)
    for picture in range(6):
        (alone,) = beam_search(decoder, numbered(picture), options)
        for batched, single in zip(together[picture], alone, strict=True):
            same(batched, single)


@pytest.mark.parametrize("name", sorted(decoders()))
def test_a_batch_is_its_pictures_one_by_one_with_real_decoders(name: str, tiny_settings: Any, shaken: Any) -> None:
    decoder = shaken(build_decoder(tiny_settings(name), 10, (2, 3), 20))
    regions = torch.randn(4, 6, 10, generator=torch.Generator().manual_seed(5))
    together = beam_search(decoder, regions, plain(3, 8, 1.0))
    for picture in range(4):
        (alone,) = beam_search(decoder, regions[picture : picture + 1], plain(3, 8, 1.0))
        for batched, single in zip(together[picture], alone, strict=True):
            same(batched, single)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("longest", [1, 4])
def test_a_decoder_that_never_ends_is_cut(toy: Toy, numbered: Regions, beams: int, longest: int) -> None:
    for end in (-30.0, NEVER, -torch.inf):
        for hypotheses in beam_search(toy(5, end=end), numbered(1, 2), plain(beams, longest, 1.0)):
            assert len(hypotheses) == beams
            for hypothesis in hypotheses:
                assert len(hypothesis.tokens) == longest
                assert hypothesis.score > -torch.inf
                assert len(hypothesis.log_probabilities) == longest
            assert hypotheses == sorted(hypotheses, key=lambda h: -h.score)


def test_a_caption_that_is_cut_has_no_end(toy: Toy, numbered: Regions) -> None:
    hypothesis = beam_search(toy(5, end=-torch.inf), numbered(1), plain(2, 3, 1.0))[0][0]
    assert hypothesis.end_log_probability is None
    assert hypothesis.score == pytest.approx(sum(hypothesis.log_probabilities) / 3, abs=1e-5)


def test_a_decoder_that_would_rather_say_nothing_says_a_word(toy: Toy, numbered: Regions) -> None:
    for hypotheses in beam_search(toy(5, end=20.0), numbered(1, 2, 3), plain(3, 5, 1.0)):
        assert {len(hypothesis.tokens) for hypothesis in hypotheses} == {1}


@pytest.mark.parametrize("words", [1, 2, 12])
@pytest.mark.parametrize("beams", [1, 4, 32])
def test_hypotheses_are_sorted_distinct_and_of_words_alone(toy: Toy, numbered: Regions, words: int, beams: int) -> None:
    options = plain(beams, 5, 1.0)
    for hypotheses in beam_search(toy(words, end=1.0), numbered(1, 2, 3), options):
        assert 1 <= len(hypotheses) <= beams
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for hypothesis in hypotheses:
            assert 1 <= len(hypothesis.tokens) <= 5
            assert min(hypothesis.tokens) >= len(SPECIALS)


def test_log_probabilities_are_those_of_the_words(toy: Toy, numbered: Regions) -> None:
    decoder = toy(6, end=1.0)
    for picture, hypotheses in enumerate(beam_search(decoder, numbered(0, 1), plain(4, 5, 0.7))):
        for hypothesis in hypotheses:
            tokens, ended = hypothesis.tokens, [*hypothesis.log_probabilities, hypothesis.end_log_probability]
            rows = [decoder.row((picture, START, *tokens[:n])) for n in range(len(tokens) + 1)]
            expected = [float(row[token]) for row, token in zip(rows, [*tokens, END], strict=True)]
            assert ended == pytest.approx(expected, abs=1e-5)
            assert hypothesis.score == pytest.approx(sum(expected) / len(expected) ** 0.7, abs=1e-5)


def test_attention_belongs_to_its_word(toy: Toy, numbered: Regions) -> None:
    for hypotheses in beam_search(toy(6, end=1.0), numbered(1, 2), plain(4, 5, 1.0)):
        for hypothesis in hypotheses:
            # The toy looks at region t when it says word t.
            assert np.array_equal(hypothesis.attention, np.eye(7)[: len(hypothesis.tokens)])


def test_attention_is_that_of_teacher_forcing(attending_variant: dict[str, Any], shaken: Any) -> None:
    decoder = shaken(build_decoder(attending_variant, 10, (2, 3), 20))
    regions = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(6))
    for picture, hypotheses in enumerate(beam_search(decoder, regions, plain(3, 6, 1.0))):
        for hypothesis in hypotheses:
            inputs = torch.tensor([[START, *hypothesis.tokens]])
            with torch.no_grad():
                log_probabilities, attention = decoder(regions[picture : picture + 1], inputs)
            np.testing.assert_allclose(hypothesis.attention, attention[0, :-1], rtol=1e-3, atol=1e-4)
            words = log_probabilities[0, :-1].gather(1, inputs[:, 1:].T).flatten().tolist()
            assert hypothesis.log_probabilities == pytest.approx(words, abs=1e-3)


def test_a_sentinels_shares_are_those_of_their_words(tiny_settings: Any, shaken: Any) -> None:
    decoder = shaken(build_decoder(tiny_settings("adaptive"), 10, (2, 3), 20))
    regions = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(6))
    for picture, hypotheses in enumerate(beam_search(decoder, regions, plain(3, 6, 1.0))):
        for hypothesis in hypotheses:
            (forced,) = teacher_force(decoder, regions[picture : picture + 1], [hypothesis.tokens])
            np.testing.assert_allclose(hypothesis.sentinel, forced.sentinel, rtol=1e-3, atol=1e-4)


def test_a_decoder_without_attention(toy: Toy, numbered: Regions) -> None:
    found = beam_search(toy(4, attends=False), numbered(1, 2), plain(3, 4, 1.0))
    assert all(h.attention is None and h.sentinel is None for hypotheses in found for h in hypotheses)
