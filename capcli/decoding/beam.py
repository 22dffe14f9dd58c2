"""Beam search, batched over pictures and beams."""

from __future__ import annotations

import torch
from torch import Tensor

from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END, PAD, START, UNSAYABLE


@torch.no_grad()
def beam_search(decoder: Decoder, regions: Tensor, options: DecodingOptions) -> list[list[Hypothesis]]:
    """Finds captions of high probability.

    A finished caption of L words scores sum(log p) / (L + 1) ** length_penalty, its end counted as a step. The
    search of a picture stops when no unfinished beam could still beat its worst kept finished caption; a beam of
    one is greedy and stops at the first end. If no beam ends within `max_length` words, the best unfinished ones
    are returned, so there always is a caption.

    Args:
        decoder: any decoder in evaluation mode.
        regions: B x R x D.
        options: `beam_size` K, `max_length`, `length_penalty` and `no_repeat_ngram`.

    Returns:
        For each picture up to K hypotheses, the best first, never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    B, K, T = regions.shape[0], options.beam_size, options.max_length
    device = regions.device
    first_row = torch.arange(B, device=device).unsqueeze(1) * K
    state = decoder.start(regions)
    state = decoder.reorder(state, torch.arange(B, device=device).repeat_interleave(K))
    last = torch.full((B * K,), START, device=device)
    # All beams of a picture start alike, so only the first may speak.
    scores = torch.full((B, K), -torch.inf, device=device)
    scores[:, 0] = 0.0
    tokens = torch.empty(B, K, 0, dtype=torch.long, device=device)
    word_scores = torch.empty(B, K, 0, device=device)
    attention: Tensor | None = None
    finished: list[list[Hypothesis]] = [[] for _ in range(B)]
    open_pictures = [True] * B

    def keep(picture: int, beam: int, total: float, end: float | None) -> None:
        words = tokens[picture, beam].tolist()
        seen = None if attention is None else attention[picture, beam].cpu()
        steps = len(words) + (end is not None)
        score = total / max(1, steps) ** options.length_penalty
        finished[picture].append(Hypothesis(words, word_scores[picture, beam].tolist(), seen, end, score))

    for length in range(T + 1):
        log_probabilities, weights, state = decoder.step(last, state)
        log_probabilities = log_probabilities.view(B, K, -1)
        ends = log_probabilities[..., END].clone()
        if length == 0:
            ends.fill_(-torch.inf)  # an empty caption is none
        totals_at_end = scores + ends
        log_probabilities[..., [*UNSAYABLE, END]] = -torch.inf
        _forbid_repeats(log_probabilities, tokens, options.no_repeat_ngram)
        candidates = scores.unsqueeze(-1) + log_probabilities
        best, flat = candidates.flatten(1).topk(K, dim=1)
        threshold = best[:, -1].tolist()
        end_list, total_list = ends.tolist(), totals_at_end.tolist()
        for picture in range(B):
            if not open_pictures[picture]:
                continue
            for beam in range(K):
                # An end competes with the other continuations for a place on the beam.
                if total_list[picture][beam] > -torch.inf and (
                    length == T or total_list[picture][beam] >= threshold[picture]
                ):
                    keep(picture, beam, total_list[picture][beam], end_list[picture][beam])
            finished[picture] = sorted(finished[picture], key=lambda h: -h.score)[:K]
        if length == T:
            break
        source, word = flat // log_probabilities.shape[-1], flat % log_probabilities.shape[-1]
        for picture, top in enumerate(best[:, 0].tolist()):
            ceiling = top / (T + 1) ** options.length_penalty
            # Greedy search goes no further than the end, even if a longer caption might have a better mean.
            full = len(finished[picture]) == K and (K == 1 or finished[picture][-1].score >= ceiling)
            if full or top == -torch.inf:
                open_pictures[picture] = False
        if not any(open_pictures):
            break
        rows = (first_row + source).flatten()
        state = decoder.reorder(state, rows)
        chosen = log_probabilities.flatten(1).gather(1, flat).unsqueeze(-1)
        gather = source.unsqueeze(-1)
        tokens = torch.cat([tokens.gather(1, gather.expand(-1, -1, tokens.shape[2])), word.unsqueeze(-1)], 2)
        word_scores = torch.cat([word_scores.gather(1, gather.expand(-1, -1, word_scores.shape[2])), chosen], 2)
        if weights is not None:
            now = weights.view(B, K, 1, -1).gather(1, source[..., None, None].expand(-1, -1, 1, weights.shape[-1]))
            if attention is None:
                attention = now
            else:
                index = source[..., None, None].expand(-1, -1, *attention.shape[2:])
                attention = torch.cat([attention.gather(1, index), now], 2)
        scores, last = best, word.flatten()
    for picture in range(B):
        if not finished[picture]:
            for beam in range(K):
                if scores[picture, beam] > -torch.inf:
                    keep(picture, beam, float(scores[picture, beam]), None)
            finished[picture].sort(key=lambda h: -h.score)
        if not finished[picture]:
            raise ModelError("the model's log-probabilities are no numbers; its weights or the regions are broken")
    return finished


def _forbid_repeats(log_probabilities: Tensor, tokens: Tensor, n: int) -> None:
    """Takes from B x K x V next words those that would say a run of `n` words of B x K x L tokens again."""
    length = tokens.shape[-1]
    if n == 0 or length < n:
        return
    runs = tokens.unfold(-1, n, 1)
    same = (runs[..., :-1] == tokens[..., None, length - n + 1 :]).all(-1)
    # Where a run differs, a word that is never said stands in for its last.
    log_probabilities.scatter_(-1, runs[..., -1].where(same, PAD), -torch.inf)
