"""Captions re-ranked by a stand-in for the matcher that knows which word each picture wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from capcli.decoding.decode import decode
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.rerank import rerank
from capcli.errors import UsageError

Toy = Callable[..., Any]
Regions = Callable[..., Tensor]


class Wants:
    """Likeness 1 for sentences that hold the word of a picture's number, else 0."""

    def pictures(self, regions: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(regions[:, 0, 0].long(), 12).float()

    def embed(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        return torch.stack([torch.zeros(12).index_fill(0, torch.tensor(sentence), 1.0) for sentence in sentences])


def found(toy: Toy, regions: Tensor, **options: Any) -> list[list[Hypothesis]]:
    chosen = DecodingOptions(max_length=5, beam_size=6, **options)
    return decode(toy(8, end=1.0), regions, chosen, matcher=Wants())  # type: ignore[arg-type]


def tokens_of(hypotheses: list[Hypothesis]) -> list[list[int]]:
    return [hypothesis.tokens for hypothesis in hypotheses]


@pytest.mark.parametrize("weight", [0.25, 100.0])
def test_what_the_beam_has_in_view_is_ordered_by_score_and_likeness(toy: Toy, numbered: Regions, weight: float) -> None:
    regions = numbered(5, 6, 7, 8)
    plain = found(toy, regions, num_captions=6)
    for number, before, after in zip((5, 6, 7, 8), plain, found(toy, regions, rerank=weight), strict=True):
        best = max(before, key=lambda hypothesis: hypothesis.score + weight * (number in hypothesis.tokens))
        assert tokens_of(after) == [best.tokens]
        assert after[0].log_probabilities == best.log_probabilities
    moved = found(toy, regions, num_captions=6, rerank=weight)
    assert [sorted(tokens_of(beam)) for beam in moved] == [sorted(tokens_of(beam)) for beam in plain]
    assert any(tokens_of(reranked) != tokens_of(ranked) for reranked, ranked in zip(moved, plain, strict=True))


def test_what_was_drawn_is_ordered_too(toy: Toy, numbered: Regions) -> None:
    drawn = found(toy, numbered(5), sample=True, num_captions=8)[0]
    moved = found(toy, numbered(5), sample=True, num_captions=8, rerank=100.0)[0]
    assert sorted(tokens_of(moved)) == sorted(tokens_of(drawn))
    holds = [5 in hypothesis.tokens for hypothesis in moved]
    assert any(holds) and holds == sorted(holds, reverse=True)


def test_a_model_without_a_matcher_is_told(toy: Toy, numbered: Regions) -> None:
    options = DecodingOptions(max_length=5, num_captions=3)
    with pytest.raises(UsageError, match="needs a model with a matcher: `capcli train matching --from") as caught:
        decode(toy(8), numbered(5), options.replace(rerank=0.5))
    assert "\n" not in str(caught.value)


def test_what_was_cut_stays_behind_what_ends() -> None:
    whole, cut = Hypothesis.scored([4], [-3.0], None, -1.0, 1.0), Hypothesis.scored([5], [-0.1], None, None, 1.0)
    assert rerank([whole, cut], [0.0, 1.0], 5.0)[0].tokens == [4]
