"""Beam search, batched over pictures and beams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import torch
from torch import Tensor

from capcli.decoding.fusion import Fusion
from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.language import LanguageModel
from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.model.decoders.contract import Decoder, State
from capcli.words.vocabulary import END, START


def beam_search(
    decoder: Decoder[State],
    regions: Tensor,
    options: DecodingOptions,
    prefix: Sequence[int] = (),
    state: State | None = None,
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
    with torch.no_grad():
        return _Search(decoder, regions, options, prefix, state, language).run()


class _Search(Generic[State]):
    """The search of B pictures with K beams each, and what every beam has said by now."""

    def __init__(
        self,
        decoder: Decoder[State],
        regions: Tensor,
        options: DecodingOptions,
        prefix: Sequence[int],
        state: State | None,
        language: LanguageModel | None,
    ) -> None:
        B, K, device = len(regions), max(options.beam_size, options.num_captions), regions.device
        self._decoder, self._options, self._prefix = decoder, options, prefix
        self._pictures = torch.arange(B, device=device).unsqueeze(1)
        begun = decoder.start(regions) if state is None else state
        self._state = decoder.reorder(begun, self._pictures.expand(-1, K).flatten())
        weight = options.lm_weight
        self._fusion = Fusion(language, weight, B, K) if language is not None and weight else None
        self._last = torch.full((B * K,), START, device=device)
        # All beams of a picture start alike, so only the first may speak.
        self._scores = torch.full((B, K), -torch.inf, device=device)
        self._scores[:, 0] = 0.0
        self._tokens = torch.empty(B, K, 0, dtype=torch.long, device=device)
        self._logs = torch.empty(B, K, 0, device=device)
        self._attention: Tensor | None = None
        self._sentinel: Tensor | None = None
        self._finished: list[list[Hypothesis]] = [[] for _ in range(B)]
        self._cut: list[list[Hypothesis]] = [[] for _ in range(B)]
        self._open = [True] * B

    def run(self) -> list[list[Hypothesis]]:
        """The hypotheses of each picture, the best first."""
        for _ in range(self._options.max_length + 1):
            logs, weights, self._state = self._decoder.step(self._last, self._state)
            ranked = logs if self._fusion is None else self._fusion.step(self._last, logs)
            choices = allowed(ranked.view(*self._scores.shape, -1), self._tokens, self._options, self._prefix)
            ends = choices[..., END].clone()
            choices[..., END] = -torch.inf
            best, flat = (self._scores.unsqueeze(-1) + choices).flatten(1).topk(self._scores.shape[1], dim=1)
            self._keep_ended(choices, ends, best, logs)
            self._close_full(best)
            if not any(self._open):
                break
            self._grow(flat // choices.shape[-1], flat % choices.shape[-1], logs, weights)
            self._scores = best
        found = zip(self._finished, self._cut, strict=True)
        return [(ended + best_first(rest))[: self._options.num_captions] for ended, rest in found]

    def _keep_ended(self, choices: Tensor, ends: Tensor, best: Tensor, logs: Tensor) -> None:
        """Keeps the beams that end, and those that can neither end nor go on."""
        K, totals = self._scores.shape[1], self._scores + ends
        # An end competes with the other continuations for a place on the beam.
        ending = (totals >= best[:, -1:]) & (totals > -torch.inf)
        stuck = (choices == -torch.inf).all(-1) & (ends == -torch.inf) & (self._scores > -torch.inf)
        for picture, beam in ending.nonzero().tolist():
            if self._open[picture]:
                self._finished[picture].append(self._hypothesis(picture, beam, float(logs[picture * K + beam, END])))
        for picture, beam in stuck.nonzero().tolist():
            if self._open[picture]:
                self._cut[picture].append(self._hypothesis(picture, beam, None))

    def _close_full(self, best: Tensor) -> None:
        """Closes the pictures of which no unfinished beam could still beat a finished caption that is kept."""
        K, steps = self._scores.shape[1], self._options.max_length + 1
        for picture, top in enumerate(best[:, 0].tolist()):
            finished = self._finished[picture] = best_first(self._finished[picture])[:K]
            ceiling = top / steps**self._options.length_penalty
            # Greedy search goes no further than the end, even if a longer caption might have a better mean.
            full = len(finished) == K and (K == 1 or finished[-1].score >= ceiling)
            if full or top == -torch.inf:
                self._open[picture] = False

    def _grow(self, source: Tensor, word: Tensor, logs: Tensor, weights: Tensor | None) -> None:
        """Goes on, with each B x K beam by a word from the beam that it comes from.

        Args:
            source: B x K, indices of beams.
            word: B x K, indices of words.
            logs: B K x V, log-probabilities of this step in the order of the sources.
            weights: B K x R, attention likewise; None where the decoder has none.
        """
        share = self._decoder.sentinel(self._state)
        index, self._last = (self._pictures * self._scores.shape[1] + source).flatten(), word.flatten()
        self._state = self._decoder.reorder(self._state, index)
        if self._fusion is not None:
            self._fusion.reorder(index, self._last)
        self._tokens = torch.cat([self._tokens[self._pictures, source], word.unsqueeze(-1)], 2)
        chosen = logs[index, self._last].view(*word.shape, 1)
        self._logs = torch.cat([self._logs[self._pictures, source], chosen], 2)
        self._attention = None if weights is None else self._longer(self._attention, weights, source)
        self._sentinel = None if share is None else self._longer(self._sentinel, share, source)

    def _longer(self, told: Tensor | None, now: Tensor, source: Tensor) -> Tensor:
        """What has been told word by word and what is of this step, B x K x T x ..., in the order of the new beams."""
        now = now.view(*source.shape, 1, *now.shape[1:])
        return (now if told is None else torch.cat([told, now], 2))[self._pictures, source]

    def _hypothesis(self, picture: int, beam: int, end: float | None) -> Hypothesis:
        words, logs = self._tokens[picture, beam].tolist(), self._logs[picture, beam].tolist()
        seen = None if self._attention is None else self._attention[picture, beam].cpu()
        own = None if self._sentinel is None else self._sentinel[picture, beam].cpu()
        place = picture * self._scores.shape[1] + beam
        bonus = 0.0 if self._fusion is None else self._fusion.bonus(place, ended=end is not None)
        return Hypothesis.scored(words, logs, seen, end, self._options.length_penalty, own, bonus)
