"""What holds for searching and sampling alike, and for a batch as for a picture alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from capcli.decoding.decode import decode
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError

Toy = Callable[..., Any]
Regions = Callable[..., Tensor]

MODES = [{"sample": False}, {"sample": True}, {"sample": True, "temperature": 2.0, "top_p": 0.8, "top_k": 4}]
modes = st.sampled_from(MODES)


def tokens(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


@settings(max_examples=60, deadline=None)
@given(
    mode=modes, words=st.integers(1, 6), count=st.integers(1, 4), least=st.integers(0, 5), longest=st.integers(1, 7),
    n=st.integers(0, 4), prefix=st.lists(st.integers(4, 9), max_size=3), end=st.sampled_from([-3.0, 0.0, 3.0]),
)  # fmt: skip
def test_captions_keep_all_limits(
    toy: Toy, numbered: Regions, mode: dict[str, Any], words: int, count: int, least: int, longest: int, n: int,
    prefix: list[int], end: float,
) -> None:  # fmt: skip
    prefix = [min(word, 3 + words) for word in prefix[:longest]]
    options = DecodingOptions(
        num_captions=count, min_length=min(least, longest), max_length=longest, no_repeat_ngram=n, **mode
    )
    for hypotheses in decode(toy(words, end=end), numbered(1, 2), options, prefix=prefix):
        assert 1 <= len(hypotheses) <= count
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for hypothesis in hypotheses:
            caption = hypothesis.tokens
            assert caption[: len(prefix)] == prefix
            assert 1 <= len(caption) <= longest
            assert len(caption) >= options.min_length or hypothesis.end_log_probability is None
            runs = [tuple(caption[start : start + n]) for start in range(len(caption) - n + 1)]
            # Runs that end within the prefix are the user's own.
            first_run = max(0, len(prefix) - n + 1)
            assert not n or not any(run in runs[:place] for place, run in enumerate(runs) if place >= first_run)
            pairs = list(itertools.pairwise(caption))[max(0, len(prefix) - 1) :]
            assert not n or all(before != after for before, after in pairs)


@pytest.mark.parametrize("mode", MODES)
def test_the_best_comes_first(toy: Toy, numbered: Regions, mode: dict[str, Any]) -> None:
    options = DecodingOptions(num_captions=5, max_length=6, **mode)
    for hypotheses in decode(toy(9, end=1.0), numbered(1, 2, 3), options):
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert len(scores) == 5
        assert scores == sorted(scores, reverse=True)


@settings(max_examples=25, deadline=None)
@given(mode=modes, order=st.permutations(range(5)), batch=st.integers(1, 5), count=st.integers(1, 3))
def test_a_picture_s_captions_do_not_depend_on_its_batch(
    toy: Toy, numbered: Regions, mode: dict[str, Any], order: list[int], batch: int, count: int
) -> None:
    options = DecodingOptions(num_captions=count, max_length=5, **mode)
    seeds = [17 * picture for picture in range(5)]
    together = tokens(decode(toy(5), numbered(*range(5)), options, seeds=seeds))
    for start in range(0, 5, batch):
        some = order[start : start + batch]
        apart = decode(toy(5), numbered(*some), options, seeds=[seeds[picture] for picture in some])
        assert tokens(apart) == [together[picture] for picture in some]


def test_another_seed_draws_other_captions(toy: Toy, numbered: Regions) -> None:
    def drawn(seed: int) -> list[list[list[int]]]:
        return tokens(decode(toy(9), numbered(1, 2, 3), DecodingOptions(sample=True, seed=seed)))

    assert drawn(1) == drawn(1)
    assert len({str(drawn(seed)) for seed in range(5)}) == 5
    assert drawn(2**128 - 1) == drawn(2**128 - 1)


def test_each_picture_is_drawn_by_its_own_seed(toy: Toy, numbered: Regions) -> None:
    options = DecodingOptions(sample=True, seed=3, min_length=5)
    alike = numbered(1, 1, 1, 1)
    assert len({str(captions) for captions in tokens(decode(toy(9), alike, options))}) == 1
    assert len({str(captions) for captions in tokens(decode(toy(9), alike, options, seeds=range(4)))}) == 4
    assert tokens(decode(toy(9), alike, options, seeds=[3] * 4)) == tokens(decode(toy(9), alike, options))


@pytest.mark.parametrize("mode", MODES)
def test_a_broken_model_is_told(toy: Toy, numbered: Regions, mode: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="its weights or the regions are broken"):
        decode(toy(4, end=torch.nan), numbered(1), DecodingOptions(**mode))
