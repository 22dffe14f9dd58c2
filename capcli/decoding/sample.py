"""Random captions: temperature, top-k and nucleus sampling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.decoding.torch_speaker import array
from capcli.model.decoders.contract import Decoder
from capcli.words.vocabulary import END, PAD, SPECIALS, START

ROUNDS = 10
"""How often captions are drawn anew for a picture whose captions are too much alike."""


@torch.no_grad()
def sample(
    decoder: Decoder[Any], regions: Tensor, options: DecodingOptions, uniforms: Tensor, prefix: Sequence[int] = ()
) -> list[list[Hypothesis]]:
    """Draws captions from the decoder, each word by inversion of one uniform number.

    The log-probabilities are divided by `temperature`, the `top_k` likeliest words are kept (0: all), and of these
    the smallest set that holds `top_p` of the probability (nucleus sampling, Holtzman et al. 2020, section 3.1).

    Args:
        decoder: any decoder.
        regions: B x R x D.
        options: `temperature`, `top_k`, `top_p`, and the limits of `allowed`.
        uniforms: B x N x `max_length` random numbers from 0 to below 1.
        prefix: indices of the words that every caption begins with.

    Returns:
        N hypotheses for each of the B pictures, in the order they were drawn, some perhaps alike. A caption of
        `max_length` words, or one that may neither end nor go on, is cut: it has no end.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    B, N, T = uniforms.shape
    device = regions.device
    places = uniforms.flatten(0, 1).to(device)
    state = decoder.begin(regions, N)
    last = torch.full((B * N,), START, device=device)
    alive = torch.ones(B * N, dtype=torch.bool, device=device)
    tokens = torch.empty(B * N, 0, dtype=torch.long, device=device)
    word_scores, attentions, sentinels = [], [], []
    for length in range(T):
        log_probabilities, weights, state = decoder.step(last, state)
        choices = allowed(log_probabilities, tokens, options, prefix)
        alive = alive & (choices > -torch.inf).any(-1)
        last = _draw(_shares(choices, options), places[:, length]).where(alive, PAD)
        tokens = torch.cat([tokens, last.unsqueeze(1)], 1)
        word_scores.append(log_probabilities.gather(1, last.unsqueeze(1)))
        attentions.append(weights)
        sentinels.append(decoder.sentinel(state))
        alive = alive & (last != END)
        if not alive.any():
            break
    attention, sentinel = (
        None if steps[0] is None else array(torch.stack([step for step in steps if step is not None], 1))
        for steps in (attentions, sentinels)
    )
    drawn = []
    for row, (caption, logs) in enumerate(zip(tokens.tolist(), torch.cat(word_scores, 1).tolist(), strict=True)):
        words = list(takewhile(lambda token: token >= len(SPECIALS), caption))
        end = logs[len(words)] if END in caption else None
        looked = None if attention is None else attention[row, : len(words)]
        shares = None if sentinel is None else sentinel[row, : len(words)]
        drawn.append(Hypothesis.scored(words, logs[: len(words)], looked, end, options.length_penalty, shares))
    return [drawn[picture * N : (picture + 1) * N] for picture in range(B)]


def sample_distinct(
    decoder: Decoder[Any], regions: Tensor, options: DecodingOptions, seeds: Sequence[int], prefix: Sequence[int] = ()
) -> list[list[Hypothesis]]:
    """Draws captions until each picture has `num_captions` different ones.

    What is drawn for a picture depends on its own seed alone, not on the rest of the batch.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        options: as for `sample`, and `num_captions`.
        seeds: B whole numbers.
        prefix: indices of the words that every caption begins with, at most `max_length`.

    Returns:
        For each picture `num_captions` different hypotheses, the best first; fewer, never none, where `ROUNDS`
        times as many draws had no more.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    count = options.num_captions
    # On the CPU, whose generator draws the same numbers whatever the device.
    sources = [torch.Generator().manual_seed(seed % 2**64) for seed in seeds]
    found: list[dict[tuple[int, ...], Hypothesis]] = [{} for _ in sources]
    short = list(range(len(sources)))
    for _ in range(ROUNDS):
        uniforms = torch.stack([torch.rand(count, options.max_length, generator=sources[p]) for p in short])
        drawn = sample(decoder, regions[short], options, uniforms, prefix)
        for picture, hypotheses in zip(short, drawn, strict=True):
            for hypothesis in hypotheses:
                if len(found[picture]) < count:
                    found[picture].setdefault(tuple(hypothesis.tokens), hypothesis)
        short = [picture for picture in short if len(found[picture]) < count]
        if not short:
            break
    return [best_first(list(captions.values())) for captions in found]


def _shares(choices: Tensor, options: DecodingOptions) -> Tensor:
    """Probabilities N x V to draw from, given log-probabilities N x V; a row need not sum to 1."""
    logits = choices / options.temperature
    if options.top_k:
        kept, index = logits.topk(min(options.top_k, logits.shape[-1]))
        logits = torch.full_like(logits, -torch.inf).scatter(-1, index, kept)
    shares = logits.softmax(-1)
    if options.top_p == 1.0:
        return shares
    ordered, index = shares.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(shares).scatter(-1, index, ordered.masked_fill(before >= options.top_p, 0.0))


def _draw(shares: Tensor, places: Tensor) -> Tensor:
    """One index per row of N x V shares by inversion of N uniform numbers."""
    steps = shares.cumsum(-1)
    total = steps[:, -1:]
    # Rounding may put the place at the very end, behind every word.
    place = torch.minimum(places.unsqueeze(1) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(steps, place, right=True).squeeze(1)
