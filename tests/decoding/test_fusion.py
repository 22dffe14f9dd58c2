"""Search with a language model: shallow fusion and re-scoring, held to sums that are taken by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from capcli.decoding.beam import beam_search
from capcli.decoding.decode import decode
from capcli.decoding.language import LanguageModel
from capcli.decoding.options import DecodingOptions
from capcli.decoding.torch_speaker import TorchSpeaker
from capcli.errors import UsageError
from capcli.model.decoders.registry import build_decoder, decoders
from capcli.modelfile.checkpoint import Checkpoint
from capcli.words.vocabulary import END, SPECIALS, START, Vocabulary

CPU = torch.device("cpu")
WORDS = ("a", "dog", "runs")
# Another order, a word of its own, and one of the captioner's less.
OTHERS = ("runs", "cat", "a")
VOCABULARY = Vocabulary([*SPECIALS, *WORDS])
Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


@pytest.fixture(params=["inject", "transformer", "merge"])
def checkpoint(request: pytest.FixtureRequest, tiny_language: Callable[..., Checkpoint]) -> Checkpoint:
    return tiny_language(OTHERS, request.param)


@pytest.fixture
def language(checkpoint: Checkpoint) -> LanguageModel:
    return LanguageModel.of(checkpoint.model, VOCABULARY, CPU)


def wide(longest: int, beams: int = 32, **options: Any) -> DecodingOptions:
    chosen = {"num_captions": beams, "beam_size": beams, "max_length": longest, "no_repeat_ngram": 0}
    return DecodingOptions(**(chosen | options))


def every_caption(longest: int) -> list[list[int]]:
    tokens = range(len(SPECIALS), len(VOCABULARY))
    return [list(c) for n in range(1, longest + 1) for c in itertools.product(tokens, repeat=n)]


@torch.no_grad()
def of_language(checkpoint: Checkpoint, caption: list[int]) -> float:
    """The language model's log-probability of a caption and its end, by teacher forcing in its own words."""
    model = checkpoint.model
    tokens = model.vocabulary.encode([VOCABULARY.words[token] for token in caption])
    log_probabilities, _ = model.decoder(model.encoder(torch.zeros(1)), torch.tensor([[START, *tokens]]))
    return float(sum(log_probabilities[0, place, token] for place, token in enumerate([*tokens, END])))


def of_captioner(toy: Any, picture: int, caption: list[int]) -> float:
    tokens = [START, *caption, END]
    return float(sum(toy.row((picture, *tokens[:n]))[tokens[n]] for n in range(1, len(tokens))))


@pytest.mark.parametrize(("weight", "penalty"), [(0.3, 0.0), (0.3, 1.0), (2.0, 0.7)])
def test_a_wide_fused_beam_is_exhaustive(
    toy: Toy, numbered: Regions, checkpoint: Checkpoint, language: LanguageModel, weight: float, penalty: float
) -> None:
    decoder = toy(3, end=-0.5)
    found = beam_search(
        TorchSpeaker(decoder), numbered(1, 2), wide(2, lm_weight=weight, length_penalty=penalty), language=language
    )
    for picture, hypotheses in enumerate(found, 1):
        expected = {
            tuple(caption): (of_captioner(decoder, picture, caption) + weight * of_language(checkpoint, caption))
            / (len(caption) + 1) ** penalty
            for caption in every_caption(2)
        }
        ranked = sorted(expected, key=lambda caption: -expected[caption])
        assert [tuple(h.tokens) for h in hypotheses] == ranked
        assert [h.score for h in hypotheses] == pytest.approx([expected[caption] for caption in ranked], abs=1e-4)
        for hypothesis in hypotheses:
            logs = [*hypothesis.log_probabilities, hypothesis.end_log_probability]
            assert sum(logs) == pytest.approx(of_captioner(decoder, picture, hypothesis.tokens), abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_the_best_of_a_wide_fused_beam_is_that_of_all_captions(
    toy: Toy, numbered: Regions, checkpoint: Checkpoint, language: LanguageModel, penalty: float
) -> None:
    decoder = toy(3, end=-0.5)
    found = beam_search(
        TorchSpeaker(decoder), numbered(5), wide(3, lm_weight=1.0, length_penalty=penalty), language=language
    )

    def worth(caption: list[int]) -> float:
        return (of_captioner(decoder, 5, caption) + of_language(checkpoint, caption)) / (len(caption) + 1) ** penalty

    assert found[0][0].tokens == max(every_caption(3), key=worth)


@pytest.mark.parametrize("beams", [1, 4])
def test_no_weight_is_no_language_model(toy: Toy, numbered: Regions, language: LanguageModel, beams: int) -> None:
    decoder, regions, options = toy(3, end=0.5), numbered(1, 2, 3), wide(5, beams)
    assert str(decode(decoder, regions, options, language=language)) == str(decode(decoder, regions, options))


@pytest.mark.parametrize("name", ["lm_weight", "lm_rescore"])
def test_a_huge_weight_leaves_the_choice_to_the_language_model(
    toy: Toy, numbered: Regions, checkpoint: Checkpoint, language: LanguageModel, name: str
) -> None:
    favourite = max(every_caption(2), key=lambda caption: of_language(checkpoint, caption) / (len(caption) + 1))
    for hypotheses in decode(toy(3), numbered(*range(6)), wide(2, **{name: 100.0}), language=language):
        assert hypotheses[0].tokens == favourite


@pytest.mark.parametrize("name", sorted(decoders()))
def test_a_fused_batch_is_its_pictures_one_by_one(
    name: str, tiny_settings: Any, shaken: Any, tiny_language: Callable[..., Checkpoint]
) -> None:
    words = [f"w{n}" for n in range(12)]
    language = LanguageModel.of(tiny_language(words[3:], name).model, Vocabulary([*SPECIALS, *words]), CPU)
    decoder = shaken(build_decoder(tiny_settings("lstm"), 10, (2, 3), 16))
    regions = torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(5))
    options = wide(6, 3, lm_weight=0.5, lm_rescore=0.5)
    together = decode(decoder, regions, options, language=language)
    for picture in range(3):
        (alone,) = decode(decoder, regions[picture : picture + 1], options, language=language)
        assert [h.tokens for h in together[picture]] == [h.tokens for h in alone]
        assert [h.score for h in together[picture]] == pytest.approx([h.score for h in alone], abs=1e-4)


@pytest.mark.parametrize("weight", [0.8, -0.8])
def test_rescoring_adds_to_the_scores_of_what_the_search_found(
    toy: Toy, numbered: Regions, checkpoint: Checkpoint, language: LanguageModel, weight: float
) -> None:
    decoder, regions = toy(3, end=-0.5), numbered(1, 2)
    plain = decode(decoder, regions, wide(4, 5, length_penalty=0.7))
    options = wide(4, 5, length_penalty=0.7, lm_rescore=weight)
    for before, after in zip(plain, decode(decoder, regions, options, language=language), strict=True):
        expected = {
            tuple(h.tokens): h.score + weight * of_language(checkpoint, h.tokens) / (len(h.tokens) + 1) ** 0.7
            for h in before
        }
        assert [tuple(h.tokens) for h in after] == sorted(expected, key=lambda caption: -expected[caption])
        assert [h.score for h in after] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-4)
        assert {tuple(h.log_probabilities) for h in after} == {tuple(h.log_probabilities) for h in before}


def test_rescoring_chooses_among_the_whole_beam(toy: Toy, numbered: Regions, language: LanguageModel) -> None:
    decoder, regions = toy(3, end=-0.5), numbered(*range(12))

    def first(**options: Any) -> list[list[int]]:
        return [some[0].tokens for some in decode(decoder, regions, wide(4, 5, **options), language=language)]

    rescored = first(num_captions=1, lm_rescore=3.0)
    assert rescored == first(num_captions=5, lm_rescore=3.0)
    assert rescored != first(num_captions=1)


def test_words_are_the_same_whatever_their_index(language: LanguageModel, checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    mapped, _ = language.step(np.array([START]), language.start(1))
    unmapped, _, _ = model.decoder.step(torch.tensor([START]), model.decoder.start(model.encoder(torch.zeros(1))))
    same = {"a": "a", "dog": "<unknown>", "runs": "runs", "<end>": "<end>"}
    for word, other in same.items():
        assert float(mapped[0, VOCABULARY.words.index(word)]) == pytest.approx(
            float(unmapped[0, model.vocabulary.words.index(other)])
        )


def test_a_model_that_sees_is_no_language_model(tiny_checkpoint: Callable[..., Checkpoint]) -> None:
    with pytest.raises(UsageError, match="no language model but sees pictures; `capcli train language-model` makes"):
        LanguageModel.of(tiny_checkpoint().model, VOCABULARY, CPU)


@pytest.mark.parametrize("name", ["lm_weight", "lm_rescore"])
def test_a_language_model_leads_no_sampling(name: str) -> None:
    with pytest.raises(UsageError, match="leads a search and no sampling"):
        DecodingOptions(sample=True, **{name: 0.5})
