"""A model computed by ONNX Runtime on the CPU, in float32, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from capcli.arrays import AnyArray, Float32Array, IntArray, UInt8Array
from capcli.decoding.beam import beam_search
from capcli.decoding.forced import Forced
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.decoding.rerank import rerank
from capcli.engines.graphs import Graphs, Leaf
from capcli.engines.lanes import Lanes, all_cores, computing_cores
from capcli.engines.memory import give_back_memory
from capcli.engines.session import Session
from capcli.words.vocabulary import END, START

if TYPE_CHECKING:
    from capcli.engines.torch_engine import TorchEngine
    from capcli.model.sentence_encoder import SentenceEncoder

_AT_ONCE = 4
"""Pictures that the encoder gets at once, whatever the batch: what it makes of more leaves the processor's caches.

16 at once take a sixth more time, and each takes 50 MB.
"""

_ALONE = 1
"""Threads of a session that shares the cores with others of its kind."""


class OnnxEngine:
    """An `Engine`, whose regions are arrays B x R x D.

    What it cannot compute, gradients and samples, it has torch compute from its regions. The cores share a batch as
    `Lanes` does it. What all of them compute together, few pictures, needs sessions of its own, which take as long to
    make as some photographs do; so the first few pictures, which may be the only ones, do without.

    Args:
        graphs: of the model.
        weights: of the model, by name.
        load_torch: loads the same model in torch, in float32.
        load_sentences: loads what its matcher makes of sentences.

    Raises:
        ValueError: if ONNX Runtime does not take the graphs.
    """

    name = "onnx"
    device = "cpu"
    precision = ("float32", "float32")
    reads = False

    def __init__(
        self,
        graphs: Graphs,
        weights: Mapping[str, Float32Array],
        load_torch: Callable[[], TorchEngine],
        load_sentences: Callable[[], SentenceEncoder | None],
    ) -> None:
        self.size, self.grid, self.box = graphs.size, graphs.grid, graphs.box
        self.heads, self.longest = graphs.heads, graphs.longest
        self.matches = "matcher" in graphs.parts
        self._load_torch, self._load_sentences = load_torch, load_sentences
        self._lanes, self._few = Lanes(computing_cores()), False
        parts = {name: Session(graph, weights) for name, graph in graphs.parts.items()}
        self._lanes.each(lambda part: part.prepare(_ALONE), list(parts.values()), computing_cores())
        self._encoder, self._matcher = parts["encoder"], parts.get("matcher")
        self._alone, self._together = (
            OnnxSpeaker(parts["start"], parts["step"], graphs.leaves, threads) for threads in (_ALONE, all_cores())
        )
        self.speaker = self._alone
        # The weights in float32 are freed by now: sessions have packed their own.
        give_back_memory()

    def check(self, options: DecodingOptions) -> None:
        """There is no language model to read anything."""

    def encode(self, arrays: UInt8Array) -> Float32Array:
        lanes = self._lanes.count(len(arrays))
        if lanes == 1:
            # The first few pictures may be all there is, or a folder's last.
            if self._few or len(arrays) >= _AT_ONCE:
                self.speaker = self._together
            self._few = True
        each, threads = max(1, _AT_ONCE // lanes), self._speaking(len(arrays)).threads
        parts = [arrays[start : start + each] for start in range(0, max(len(arrays), 1), each)]
        made = self._lanes.each(lambda part: self._encoder.run(threads, pictures=part)["regions"], parts, lanes)
        return made[0] if len(made) == 1 else np.concatenate(made)

    def means(self, regions: Float32Array) -> Float32Array:
        means: Float32Array = regions.mean(1)
        return means

    def picture_vectors(self, regions: Float32Array) -> Float32Array:
        assert self._matcher is not None, "the captioner asks a model that matches"
        return self._matcher.run(_ALONE, regions=regions)["vectors"]

    def sentence_vectors(self, sentences: Sequence[Sequence[int]]) -> Float32Array:
        return self._sentences.embed(sentences)

    def start(self, regions: Float32Array) -> object:
        return self.speaker.start(regions)

    def decode(
        self,
        regions: Float32Array,
        options: DecodingOptions,
        *,
        prefix: Sequence[int] = (),
        seeds: Sequence[int] | None = None,
        state: Any = None,
        expected: Float32Array | None = None,
    ) -> list[list[Hypothesis]]:
        if options.sample:
            return self._torch.decode(_tensor(regions), options, prefix=prefix, seeds=seeds)
        # All that the beam has in view costs no more than the best of it.
        asked = max(options.beam_size, options.num_captions) if options.rerank else options.num_captions
        speaker, every = self._speaking(len(regions)), options.replace(num_captions=asked)

        def search(part: slice) -> list[list[Hypothesis]]:
            begun = None if state is None else speaker.pick(state, part)
            expected_part = None if expected is None else expected[part]
            return beam_search(speaker, regions[part], every, prefix, begun, expected=expected_part)

        found = self._lanes.share(search, len(regions))
        if not options.rerank:
            return found
        pictures = self.picture_vectors(regions)
        vectors = iter(self.sentence_vectors([hypothesis.tokens for hypotheses in found for hypothesis in hypotheses]))
        alike = [
            [float(next(vectors) @ picture) for _ in hypotheses]
            for hypotheses, picture in zip(found, pictures, strict=True)
        ]
        ranked = [rerank(hypotheses, bonus, options.rerank) for hypotheses, bonus in zip(found, alike, strict=True)]
        return [hypotheses[: options.num_captions] for hypotheses in ranked]

    def trace(
        self,
        regions: Float32Array,
        captions: Sequence[Sequence[int]],
        *,
        gradients: bool = False,
        own: bool = False,
        state: Any = None,
    ) -> list[Forced]:
        if gradients and self.heads != (0, 0):
            return self._torch.trace(_tensor(regions), captions, gradients=True, own=own)
        speaker = self._speaking(len(captions))

        def trace(part: slice) -> list[Forced]:
            begun = speaker.start(regions[part]) if state is None else speaker.pick(state, part)
            return speaker.trace(begun, captions[part])

        return self._lanes.share(trace, len(captions))

    def _speaking(self, pictures: int) -> OnnxSpeaker:
        """Who speaks about so many pictures."""
        return self._alone if self._lanes.count(pictures) > 1 else self.speaker

    @cached_property
    def _torch(self) -> TorchEngine:
        return self._load_torch()

    @cached_property
    def _sentences(self) -> SentenceEncoder:
        encoder = self._load_sentences()
        assert encoder is not None, "the captioner asks a model that matches"
        return encoder


@dataclass(frozen=True)
class OnnxState:
    """What a decoder remembers.

    Attributes:
        arrays: by the names of the graphs.
        pictures: of each row the picture, as arrays that have a row for each picture count them.
        share: of the step that gave it, of the sentinel in each row; None for a decoder without one.
    """

    arrays: Mapping[str, AnyArray]
    pictures: IntArray
    share: Float32Array | None = None


class OnnxSpeaker:
    """A `Speaker` of regions B x R x D.

    Args:
        start: gives the state.
        step: takes and gives it.
        leaves: what it consists of.
        threads: that compute, as `Session` counts them.
    """

    def __init__(self, start: Session, step: Session, leaves: Sequence[Leaf], threads: int) -> None:
        self._start, self._step, self._leaves, self.threads = start, step, leaves, threads

    def start(self, regions: Float32Array) -> OnnxState:
        return OnnxState(self._start.run(self.threads, regions=regions), np.arange(len(regions)))

    def pick(self, state: OnnxState, part: slice) -> OnnxState:
        """The state of some of the pictures, from one that has said nothing."""
        rows = np.arange(len(state.pictures))
        return state if len(rows[part]) == len(rows) else self.reorder(state, rows[part])

    def step(self, tokens: IntArray, state: OnnxState) -> tuple[Float32Array, Float32Array | None, OnnxState]:
        said, attention, state = self.attend(tokens, state)
        return said, None if attention is None else attention.mean((1, 2)), state

    def attend(self, tokens: IntArray, state: OnnxState) -> tuple[Float32Array, Float32Array | None, OnnxState]:
        """`step` with the attention of each head by itself, N x layers x heads x R."""
        outputs = self._step.run(self.threads, tokens=tokens.astype(np.int64), **state.arrays)
        changed = {leaf.name: outputs[f"next_{leaf.name}"] for leaf in self._leaves if leaf.changes}
        new = OnnxState({**state.arrays, **changed}, state.pictures, outputs.get("sentinel"))
        return outputs["said"], outputs.get("attention"), new

    def sentinel(self, state: OnnxState) -> Float32Array | None:
        return state.share

    def reorder(self, state: OnnxState, index: IntArray) -> OnnxState:
        pictures = state.pictures[index]
        stays = np.array_equal(pictures, state.pictures)
        kept, counts = _runs(pictures)
        shared = np.array_equal(kept, np.arange(len(set(state.pictures.tolist()))))
        taken = {}
        for leaf in self._leaves:
            held = state.arrays[leaf.name]
            if leaf.spread and (leaf.changes or not stays):
                held = held.take(index, leaf.axis)
            elif leaf.axis is not None and not leaf.spread and not shared:
                held = held.take(kept, leaf.axis)
            taken[leaf.name] = held
        return OnnxState(taken, np.arange(len(kept)).repeat(counts))

    def trace(self, state: OnnxState, captions: Sequence[Sequence[int]]) -> list[Forced]:
        """Feeds given captions word by word; see `Engine.trace`."""
        longest = max(map(len, captions))
        tokens = np.array([[START, *caption, *[END] * (longest + 1 - len(caption))] for caption in captions])
        word_logs, attentions, sentinels = [], [], []
        for now, following in zip(tokens.T, tokens.T[1:], strict=False):
            log_probabilities, attention, state = self.attend(now, state)
            word_logs.append(log_probabilities[np.arange(len(tokens)), following])
            attentions += [] if attention is None else [attention]
            sentinels += [] if state.share is None else [state.share]
        logs = np.stack(word_logs, 1)
        weights, shares = (np.stack(steps, 1) if steps else None for steps in (attentions, sentinels))
        return [
            Forced(
                logs[row, : len(caption) + 1],
                None if weights is None else weights[row, : len(caption)],
                None,
                None if shares is None else shares[row, : len(caption)],
            )
            for row, caption in enumerate(captions)
        ]


def _runs(pictures: IntArray) -> tuple[IntArray, IntArray]:
    """The pictures of N rows that lie beside each other and how many rows each has; all as many, or one each."""
    begins = np.flatnonzero(np.diff(pictures, prepend=-1))
    counts = np.diff(begins, append=len(pictures))
    return (pictures[begins], counts) if len(set(counts.tolist())) < 2 else (pictures, np.ones_like(pictures))


def _tensor(regions: Float32Array) -> Any:
    import torch

    return torch.from_numpy(regions)
