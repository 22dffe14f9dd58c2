"""Beam search, batched over pictures and beams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from capcli.arrays import Float32Array, IntArray
from capcli.decoding.fusion import Fusion
from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.decoding.speaker import Regions, Speaker, State
from capcli.words.vocabulary import END, START

if TYPE_CHECKING:
    from capcli.decoding.language import LanguageModel

_BLOCK = 64


def beam_search(
    speaker: Speaker[Regions, State],
    regions: Regions,
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
        speaker: any decoder in evaluation mode.
        regions: of B pictures.
        options: K = the larger of `beam_size` and `num_captions`, `lm_weight`, and the limits of `allowed`.
        prefix: indices of the words that every caption begins with, at most `max_length`.
        state: what the speaker's `start` gave for the regions, where it is there already.
        language: a language model in the decoder's words, for an `lm_weight` above 0.

    Returns:
        For each picture `num_captions` different hypotheses, the best first; fewer where the limits allow no more,
        never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    begun = speaker.start(regions) if state is None else state
    return _Search(speaker, len(regions), options, prefix, begun, language).run()


class _Search(Generic[State]):
    """The search of B pictures with K beams each, and what every beam has said by now."""

    def __init__(
        self,
        speaker: Speaker[Any, State],
        pictures: int,
        options: DecodingOptions,
        prefix: Sequence[int],
        state: State,
        language: LanguageModel | None,
    ) -> None:
        B, K = pictures, max(options.beam_size, options.num_captions)
        self._speaker, self._options, self._prefix = speaker, options, prefix
        # The pictures that are still searched, in the order of the rows; one that is done leaves.
        self._pictures = list(range(B))
        self._state = speaker.reorder(state, np.arange(B).repeat(K))
        weight = options.lm_weight
        self._fusion = Fusion(language, weight, B, K) if language is not None and weight else None
        self._last = np.full(B * K, START)
        # All beams of a picture start alike, so only the first may speak.
        self._scores = np.full((B, K), -np.inf, np.float32)
        self._scores[:, 0] = 0.0
        self._tokens = np.empty((B, K, 0), np.intp)
        self._logs = np.empty((B, K, 0), np.float32)
        self._attention: Float32Array | None = None
        self._sentinel: Float32Array | None = None
        self._finished: list[list[Hypothesis]] = [[] for _ in range(B)]
        self._cut: list[list[Hypothesis]] = [[] for _ in range(B)]

    def run(self) -> list[list[Hypothesis]]:
        """The hypotheses of each picture, the best first."""
        for _ in range(self._options.max_length + 1):
            logs, weights, self._state = self._speaker.step(self._last, self._state)
            ranked = logs if self._fusion is None else self._fusion.step(self._last, logs)
            choices = allowed(ranked.reshape(*self._scores.shape, -1), self._tokens, self._options, self._prefix)
            ends = choices[..., END].copy()
            choices[..., END] = -np.inf
            best, flat = _largest((self._scores[..., None] + choices).reshape(len(choices), -1), self._scores.shape[1])
            self._keep_ended(choices, ends, best, logs)
            going = self._going(best)
            if not len(going):
                break
            source, word = np.divmod(flat[going], choices.shape[-1])
            self._grow(going[:, None], source, word, logs, weights)
            self._scores, self._pictures = best[going], [self._pictures[row] for row in going]
        found = zip(self._finished, self._cut, strict=True)
        return [(ended + best_first(rest))[: self._options.num_captions] for ended, rest in found]

    def _keep_ended(self, choices: Float32Array, ends: Float32Array, best: Float32Array, logs: Float32Array) -> None:
        """Keeps the beams that end, and those that can neither end nor go on."""
        K, totals = self._scores.shape[1], self._scores + ends
        # An end competes with the other continuations for a place on the beam.
        ending = (totals >= best[:, -1:]) & (totals > -np.inf)
        stuck = (choices == -np.inf).all(-1) & (ends == -np.inf) & (self._scores > -np.inf)
        for row, beam in np.argwhere(ending).tolist():
            end = float(logs[row * K + beam, END])
            self._finished[self._pictures[row]].append(self._hypothesis(row, beam, end))
        for row, beam in np.argwhere(stuck).tolist():
            self._cut[self._pictures[row]].append(self._hypothesis(row, beam, None))

    def _going(self, best: Float32Array) -> IntArray:
        """Rows of the pictures of which an unfinished beam could still beat a finished caption that is kept."""
        K, steps, going = self._scores.shape[1], self._options.max_length + 1, []
        for row, (picture, top) in enumerate(zip(self._pictures, best[:, 0].tolist(), strict=True)):
            finished = self._finished[picture] = best_first(self._finished[picture])[:K]
            ceiling = top / steps**self._options.length_penalty
            # Greedy search goes no further than the end, even if a longer caption might have a better mean.
            full = len(finished) == K and (K == 1 or finished[-1].score >= ceiling)
            if not full and top > -np.inf:
                going.append(row)
        return np.array(going, np.intp)

    def _grow(
        self, going: IntArray, source: IntArray, word: IntArray, logs: Float32Array, weights: Float32Array | None
    ) -> None:
        """Goes on with P of the pictures, with each P x K beam by a word from the beam that it comes from.

        Args:
            going: P x 1, rows of these pictures.
            source: P x K, indices of beams.
            word: P x K, indices of words.
            logs: log-probabilities of this step, x V, in the order of the sources of all pictures.
            weights: attention likewise, x R; None where the decoder has none.
        """
        share = self._speaker.sentinel(self._state)
        index, self._last = (going * self._scores.shape[1] + source).flatten(), word.flatten()
        self._state = self._speaker.reorder(self._state, index)
        if self._fusion is not None:
            self._fusion.reorder(index, self._last)
        self._tokens = np.concatenate([self._tokens[going, source], word[..., None]], 2)
        chosen = logs[index, self._last].reshape(*word.shape, 1)
        self._logs = np.concatenate([self._logs[going, source], chosen], 2)
        self._attention = None if weights is None else self._longer(self._attention, weights, going, source)
        self._sentinel = None if share is None else self._longer(self._sentinel, share, going, source)

    def _longer(self, told: Float32Array | None, now: Float32Array, going: IntArray, source: IntArray) -> Float32Array:
        """What has been told word by word and what is of this step, P x K x T x ..., in the order of the new beams."""
        now = now.reshape(-1, source.shape[1], 1, *now.shape[1:])
        longer: Float32Array = (now if told is None else np.concatenate([told, now], 2))[going, source]
        return longer

    def _hypothesis(self, row: int, beam: int, end: float | None) -> Hypothesis:
        words, logs = self._tokens[row, beam].tolist(), self._logs[row, beam].tolist()
        seen = None if self._attention is None else self._attention[row, beam]
        own = None if self._sentinel is None else self._sentinel[row, beam]
        place = row * self._scores.shape[1] + beam
        bonus = 0.0 if self._fusion is None else self._fusion.bonus(place, ended=end is not None)
        return Hypothesis.scored(words, logs, seen, end, self._options.length_penalty, own, bonus)


def _largest(values: Float32Array, count: int) -> tuple[Float32Array, IntArray]:
    """The `count` largest of each row of N x M values, the largest first, and where they are."""
    rows, width = np.arange(len(values))[:, None], values.shape[1]
    blocks = np.full((len(values), -(-width // _BLOCK), _BLOCK), -np.inf, np.float32)
    blocks.reshape(len(values), -1)[:, :width] = values
    # They all lie in those blocks whose own largest are the largest, which leaves little to sort.
    chosen = np.arange(blocks.shape[1])[None]
    if blocks.shape[1] > count:
        chosen = np.sort(np.argpartition(-blocks.max(-1), count - 1)[:, :count])
    near = blocks[rows, chosen].reshape(len(values), -1)
    order = np.argsort(-near, kind="stable")[:, :count]
    chosen = np.broadcast_to(chosen, (len(values), chosen.shape[1]))
    return near[rows, order], chosen[rows, order // _BLOCK] * _BLOCK + order % _BLOCK
