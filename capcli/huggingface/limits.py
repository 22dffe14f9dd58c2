"""capcli's options of decoding, with the same meaning in transformers' `generate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.options import spell

_TOKENS_A_WORD = 4
"""More tokens a word than any caption has on average; longer ones are cut."""

_LACKING = ("no_repeat_ngram", "rerank", "word_weight", "lm_weight", "lm_rescore")
"""Options that only capcli's own search has: transformers forbids runs of tokens, not of words."""

Count = Callable[[Sequence[int]], int]
"""How many words some tokens say."""


def check_honoured(options: DecodingOptions, own: DecodingOptions, model: str) -> None:
    """Raises UsageError for an option of capcli's own search that transformers has nothing for."""
    for name in _LACKING:
        if getattr(options, name) != getattr(own, name):
            raise UsageError(f"{model} is decoded by transformers, which has no {spell(name)}; leave it out")


def generation_options(
    options: DecodingOptions,
    *,
    begin: int,
    head: int,
    ends: Sequence[int],
    room: int,
    count: Count,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Keywords of `generate`.

    Lengths are in words, as everywhere in capcli. What is drawn for a picture depends on its own seed alone: noise of
    Gumbel's distribution on the log-probabilities makes the largest of them a draw (Kool et al. 2019, section 2.3).

    Args:
        options: what is asked for.
        begin: tokens before the caption.
        head: tokens that the decoder begins with.
        ends: tokens that end a caption.
        room: how many tokens the decoder can hold.
        count: counts words.
        seeds: one for each row, used for sampling.
    """
    processors: list[Any] = [ShortestCaption(options.min_length, begin, ends, count)]
    how: dict[str, Any] = {"num_beams": 1, "num_return_sequences": 1}
    if options.sample:
        processors += [TemperatureLogitsWarper(options.temperature)] if options.temperature != 1 else []
        processors += [TopKLogitsWarper(options.top_k)] if options.top_k else []
        processors += [TopPLogitsWarper(options.top_p)] if options.top_p < 1 else []
        processors.append(Draw(seeds))
    else:
        beams = max(options.beam_size, options.num_captions)
        how = {"num_beams": beams, "num_return_sequences": options.num_captions}
        how |= {"length_penalty": options.length_penalty} if beams > 1 else {}
    return {
        **how,
        "do_sample": False,
        "max_new_tokens": max(1, min(options.max_length * _TOKENS_A_WORD + 16, room - head)),
        "logits_processor": processors,
        "stopping_criteria": [LongestCaption(options.max_length, begin, count)],
        "return_dict_in_generate": True,
        "output_logits": True,
    }


class ShortestCaption(LogitsProcessor):  # type: ignore[misc]
    """Lets no caption end before it has so many words, at least one."""

    def __init__(self, least: int, begin: int, ends: Sequence[int], count: Count) -> None:
        self._least, self._begin, self._ends, self._count = max(1, least), begin, list(ends), count
        self._enough: set[tuple[int, ...]] = set()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        rows = [tuple(row) for row in input_ids[:, self._begin :].tolist()]
        short = [place for place, row in enumerate(rows) if not self._has_enough(row)]
        if short:
            scores = scores.clone()
            scores[torch.tensor(short, device=scores.device)[:, None], torch.tensor(self._ends)] = -torch.inf
        return scores

    def _has_enough(self, row: tuple[int, ...]) -> bool:
        # What a caption has said it has said, however it goes on.
        if row[:-1] in self._enough or (len(row) >= self._least and self._count(row) >= self._least):
            self._enough.add(row)
            return True
        return False


class LongestCaption(StoppingCriteria):  # type: ignore[misc]
    """Ends a caption that has begun a word too many, which is then cut off."""

    def __init__(self, most: int, begin: int, count: Count) -> None:
        self._most, self._begin, self._count = most, begin, count

    def __call__(self, input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
        continuation = input_ids[:, self._begin :]
        # A word is one token at least.
        if continuation.shape[1] <= self._most:
            return torch.zeros(len(continuation), dtype=torch.bool, device=continuation.device)
        over = [self._count(row) > self._most for row in continuation.tolist()]
        return torch.tensor(over, device=continuation.device)


class Draw(LogitsProcessor):  # type: ignore[misc]
    """Makes the likeliest token a draw from all, by noise that each row has of its own."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        even = torch.stack([torch.rand(scores.shape[1], generator=source) for source in self._sources])
        noise = -torch.log(-torch.log(even.clamp(min=1e-20)))
        return scores.log_softmax(-1) + noise.to(scores.device, scores.dtype)
