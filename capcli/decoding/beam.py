"""Beam search, batched over pictures and beams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from capcli.decoding.fusion import Fusion
from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.language import LanguageModel
from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.model.decoders.contract import Decoder
from capcli.words.vocabulary import END, START


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    regions: Tensor,
    options: DecodingOptions,
    prefix: Sequence[int] = (),
    state: Any = None,
    language: LanguageModel | None = None,
) -> list[list[Hypothesis]]:
    """Finds captions of high probability.

    A finished caption of L words scores sum(log p) / (L + 1) ** length_penalty, its end counted as a step. The
    search of a picture stops when no unfinished beam could still beat its worst kept finished caption; a beam of
    one is greedy and stops at the first end. Where fewer captions end than are asked for, beams that could neither
    end nor go on follow the finished ones, so there always is a caption. With a language model every log p has its
    part too, see `Fusion`, but the log-probabilities of hypotheses stay the decoder's own.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        options: K = the larger of `beam_size` and `num_captions`, `lm_weight`, and the limits of `allowed`.
        prefix: indices of the words that every caption begins with, at most `max_length`.
        state: what the decoder's `start` gave for the regions, where it is there already.
        language: a language model in the decoder's words, for an `lm_weight` above 0.

    Returns:
        For each picture `num_captions` different hypotheses, the best first; fewer where the limits allow no more,
        never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    B, K, T = regions.shape[0], max(options.beam_size, options.num_captions), options.max_length
    device = regions.device
    pictures = torch.arange(B, device=device).unsqueeze(1)
    state = decoder.reorder(decoder.start(regions) if state is None else state, pictures.expand(-1, K).flatten())
    fusion = Fusion(language, options.lm_weight, B, K) if language is not None and options.lm_weight else None
    last = torch.full((B * K,), START, device=device)
    # All beams of a picture start alike, so only the first may speak.
    scores = torch.full((B, K), -torch.inf, device=device)
    scores[:, 0] = 0.0
    tokens = torch.empty(B, K, 0, dtype=torch.long, device=device)
    word_scores = torch.empty(B, K, 0, device=device)
    attention: Tensor | None = None
    sentinel: Tensor | None = None
    finished: list[list[Hypothesis]] = [[] for _ in range(B)]
    cut: list[list[Hypothesis]] = [[] for _ in range(B)]
    open_pictures = [True] * B

    def hypothesis(picture: int, beam: int, end: float | None) -> Hypothesis:
        words, logs = tokens[picture, beam].tolist(), word_scores[picture, beam].tolist()
        seen = None if attention is None else attention[picture, beam].cpu()
        own = None if sentinel is None else sentinel[picture, beam].cpu()
        bonus = 0.0 if fusion is None else fusion.bonus(picture * K + beam, ended=end is not None)
        return Hypothesis.scored(words, logs, seen, end, options.length_penalty, own, bonus)

    def grown(told: Tensor | None, now: Tensor) -> Tensor:
        """What has been told word by word and what is of this step, B x K x T x ..., in the order of the new beams."""
        now = now.view(B, K, 1, *now.shape[1:])
        return (now if told is None else torch.cat([told, now], 2))[pictures, source]

    for _ in range(T + 1):
        log_probabilities, weights, state = decoder.step(last, state)
        ranked = log_probabilities if fusion is None else fusion.step(last, log_probabilities)
        choices = allowed(ranked.view(B, K, -1), tokens, options, prefix)
        ends = choices[..., END].clone()
        choices[..., END] = -torch.inf
        best, flat = (scores.unsqueeze(-1) + choices).flatten(1).topk(K, dim=1)
        totals = scores + ends
        # An end competes with the other continuations for a place on the beam.
        ending = (totals >= best[:, -1:]) & (totals > -torch.inf)
        stuck = (choices == -torch.inf).all(-1) & (ends == -torch.inf) & (scores > -torch.inf)
        for picture, beam in ending.nonzero().tolist():
            if open_pictures[picture]:
                finished[picture].append(hypothesis(picture, beam, float(log_probabilities[picture * K + beam, END])))
        for picture, beam in stuck.nonzero().tolist():
            if open_pictures[picture]:
                cut[picture].append(hypothesis(picture, beam, None))
        for picture, top in enumerate(best[:, 0].tolist()):
            finished[picture] = best_first(finished[picture])[:K]
            ceiling = top / (T + 1) ** options.length_penalty
            # Greedy search goes no further than the end, even if a longer caption might have a better mean.
            full = len(finished[picture]) == K and (K == 1 or finished[picture][-1].score >= ceiling)
            if full or top == -torch.inf:
                open_pictures[picture] = False
        if not any(open_pictures):
            break
        source, word = flat // choices.shape[-1], flat % choices.shape[-1]
        share = decoder.sentinel(state)
        index, last = (pictures * K + source).flatten(), word.flatten()
        state = decoder.reorder(state, index)
        if fusion is not None:
            fusion.reorder(index, last)
        tokens = torch.cat([tokens[pictures, source], word.unsqueeze(-1)], 2)
        chosen = log_probabilities[index, last].view(B, K, 1)
        word_scores = torch.cat([word_scores[pictures, source], chosen], 2)
        attention = None if weights is None else grown(attention, weights)
        sentinel = None if share is None else grown(sentinel, share)
        scores = best
    return [(ended + best_first(rest))[: options.num_captions] for ended, rest in zip(finished, cut, strict=True)]
