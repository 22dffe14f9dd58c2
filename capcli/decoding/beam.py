"""Beam search, batched over pictures and beams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from capcli.arrays import BoolArray, Float32Array, IntArray
from capcli.decoding.expectation import Expectation
from capcli.decoding.fusion import Fusion
from capcli.decoding.hypothesis import Hypothesis, best_first
from capcli.decoding.limits import allowed
from capcli.decoding.options import DecodingOptions
from capcli.decoding.speaker import Regions, Speaker, State
from capcli.words.vocabulary import END, START

if TYPE_CHECKING:
    from capcli.decoding.language import LanguageModel

_COLUMN = 64


def beam_search(
    speaker: Speaker[Regions, State],
    regions: Regions,
    options: DecodingOptions,
    prefix: Sequence[int] = (),
    state: State | None = None,
    language: LanguageModel | None = None,
    expected: Float32Array | None = None,
) -> list[list[Hypothesis]]:
    """Finds captions of high probability.

    A finished caption of L words scores sum(log p) / (L + 1) ** length_penalty, its end counted as a step. The
    search of a picture stops when no unfinished beam could still beat the worst of the `num_captions` best finished
    ones; a beam of one is greedy and stops at the first end. Where fewer captions end than are asked for, beams that
    could neither end nor go on follow the finished ones, so there always is a caption. A language model and expected
    words have their parts in every log p, see `Fusion` and `Expectation`, but the log-probabilities of hypotheses stay
    the decoder's own. What a beam may still earn by expected words is left out when a search stops.

    Args:
        speaker: any decoder in evaluation mode.
        regions: of B pictures.
        options: K = the larger of `beam_size` and `num_captions`, the weights, and the limits of `allowed`.
        prefix: indices of the words that every caption begins with, at most `max_length`.
        state: what the speaker's `start` gave for the regions, where it is there already.
        language: a language model in the decoder's words, for an `lm_weight` above 0.
        expected: B x V as `Expectation` takes it, for a `word_weight` above 0.

    Returns:
        For each picture `num_captions` different hypotheses, the best first; fewer where the limits allow no more,
        never none.

    Raises:
        ModelError: if the log-probabilities are not numbers.
    """
    begun = speaker.start(regions) if state is None else state
    voices: list[Fusion | Expectation] = []
    if language is not None and options.lm_weight:
        voices.append(Fusion(language, options.lm_weight, len(regions)))
    if expected is not None and options.word_weight:
        voices.append(Expectation(expected, options.word_weight))
    return _Search(speaker, len(regions), options, prefix, begun, voices).run()


class _Search(Generic[State]):
    """The search of B pictures with K beams each, and what every beam has said by now."""

    def __init__(
        self,
        speaker: Speaker[Any, State],
        pictures: int,
        options: DecodingOptions,
        prefix: Sequence[int],
        state: State,
        voices: Sequence[Fusion | Expectation],
    ) -> None:
        B = pictures
        self._width = max(options.beam_size, options.num_captions)
        self._speaker, self._options, self._prefix = speaker, options, prefix
        # The pictures that are still searched, in the order of the rows; one that is done leaves.
        self._pictures = list(range(B))
        self._state = state
        self._voices = voices
        # All beams of a picture start alike, so there is one until the first word.
        self._last = np.full(B, START)
        self._scores = np.zeros((B, 1), np.float32)
        self._tokens = np.empty((B, 1, 0), np.intp)
        self._logs = np.empty((B, 1, 0), np.float32)
        self._attention: Float32Array | None = None
        self._sentinel: Float32Array | None = None
        self._finished: list[list[Hypothesis]] = [[] for _ in range(B)]
        self._cut: list[list[Hypothesis]] = [[] for _ in range(B)]

    def run(self) -> list[list[Hypothesis]]:
        """The hypotheses of each picture, the best first."""
        for _ in range(self._options.max_length + 1):
            logs, weights, self._state = self._speaker.step(self._last, self._state)
            ranked = logs
            for voice in self._voices:
                ranked = voice.step(self._last, ranked)
            choices = allowed(ranked.reshape(*self._scores.shape, -1), self._tokens, self._options, self._prefix)
            ends = choices[..., END].copy()
            choices[..., END] = -np.inf
            totals, source, word, stuck = _best(self._scores, choices, self._width)
            self._keep_ended(ends, totals, stuck, logs)
            going = self._going(totals)
            if not len(going):
                break
            self._grow(going[:, None], source[going], word[going], logs, weights)
            self._scores, self._pictures = totals[going], [self._pictures[row] for row in going]
        found = zip(self._finished, self._cut, strict=True)
        return [(ended + best_first(rest))[: self._options.num_captions] for ended, rest in found]

    def _keep_ended(self, ends: Float32Array, totals: Float32Array, stuck: BoolArray, logs: Float32Array) -> None:
        """Keeps the beams that end, and those that can neither end nor go on."""
        ended, beams = self._scores + ends, self._scores.shape[1]
        # An end competes with the other continuations for a place on the beam.
        ending = (ended >= totals[:, -1:]) & (ended > -np.inf)
        for row, beam in np.argwhere(ending).tolist():
            end = float(logs[row * beams + beam, END])
            self._finished[self._pictures[row]].append(self._hypothesis(row, beam, end))
        for row, beam in np.argwhere(stuck & (ends == -np.inf)).tolist():
            self._cut[self._pictures[row]].append(self._hypothesis(row, beam, None))

    def _going(self, totals: Float32Array) -> IntArray:
        """Rows of the pictures of which an unfinished beam could still beat a finished caption that is asked for."""
        asked, steps, going = self._options.num_captions, self._options.max_length + 1, []
        least = self._tokens.shape[2] + 2
        for row, (picture, top) in enumerate(zip(self._pictures, totals[:, 0].tolist(), strict=True)):
            finished = self._finished[picture] = best_first(self._finished[picture])[:asked]
            # What is below 0 gains by more steps, and what expected words brought above it by fewer.
            ceiling = top / (steps if top < 0 else min(steps, least)) ** self._options.length_penalty
            # Greedy search goes no further than the end, even if a longer caption might have a better mean.
            done = len(finished) == asked and (self._width == 1 or finished[-1].score >= ceiling)
            if not done and top > -np.inf:
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
        for voice in self._voices:
            voice.reorder(index, self._last)
        self._tokens = np.concatenate([self._tokens[going, source], word[..., None]], 2)
        chosen = logs[index, self._last].reshape(*word.shape, 1)
        self._logs = np.concatenate([self._logs[going, source], chosen], 2)
        self._attention = None if weights is None else self._longer(self._attention, weights, going, source)
        self._sentinel = None if share is None else self._longer(self._sentinel, share, going, source)

    def _longer(self, past: Float32Array | None, now: Float32Array, going: IntArray, source: IntArray) -> Float32Array:
        """What earlier steps gave and what this step gives, P x K x T x ..., in the order of the new beams."""
        now = now.reshape(-1, self._scores.shape[1], 1, *now.shape[1:])
        longer: Float32Array = (now if past is None else np.concatenate([past, now], 2))[going, source]
        return longer

    def _hypothesis(self, row: int, beam: int, end: float | None) -> Hypothesis:
        words, logs = self._tokens[row, beam].tolist(), self._logs[row, beam].tolist()
        seen = None if self._attention is None else self._attention[row, beam]
        own = None if self._sentinel is None else self._sentinel[row, beam]
        place = row * self._scores.shape[1] + beam
        bonus = sum(voice.bonus(place, ended=end is not None) for voice in self._voices)
        return Hypothesis.scored(words, logs, seen, end, self._options.length_penalty, own, bonus)


def _best(
    scores: Float32Array, choices: Float32Array, count: int
) -> tuple[Float32Array, IntArray, IntArray, BoolArray]:
    """The best continuations of each picture.

    Args:
        scores: B x K, of the beams.
        choices: B x K x V, what each next word adds.
        count: how many continuations.

    Returns:
        Their totals, beams and words, each B x count, the best first; and B x K, which beams can only end. Where there
        are not as many, the rest have minus infinity and any word.
    """
    (pictures, beams, words), rows = choices.shape, np.arange(len(choices))[:, None]
    values = np.empty((pictures, beams, _COLUMN * -(-max(words, count) // _COLUMN)), np.float32)
    np.add(scores[..., None], choices, out=values[..., :words])
    values[..., words:] = -np.inf
    columns = values.reshape(pictures, beams, _COLUMN, -1)
    # They all lie in those columns whose own largest are the largest, which leaves little to sort.
    tops, width = columns.max(2), columns.shape[3]
    stuck = (tops.max(-1) == -np.inf) & (scores > -np.inf)
    tops = tops.reshape(pictures, -1)
    chosen = np.arange(tops.shape[1])[None].repeat(pictures, 0)
    if tops.shape[1] > count:
        chosen = np.argpartition(-tops, count - 1)[:, :count]
    beam, column = np.divmod(chosen, width)
    near = columns[rows, beam, :, column].reshape(pictures, -1)
    place = (beam[..., None] * values.shape[2] + np.arange(_COLUMN) * width + column[..., None]).reshape(pictures, -1)
    # Of equals the first.
    order = np.lexsort((place, -near))[:, :count]
    source, word = np.divmod(place[rows, order], values.shape[2])
    return near[rows, order], source, word.clip(max=words - 1), stuck
