"""A model computed by ONNX Runtime on the CPU, in float32, without torch."""

from __future__ import annotations

import os
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
from capcli.engines.graphs import Graph, Graphs
from capcli.engines.runtime import load_runtime
from capcli.words.vocabulary import END, START

if TYPE_CHECKING:
    from capcli.engines.torch_engine import TorchEngine
    from capcli.model.sentence_encoder import SentenceEncoder


_AT_ONCE = 4
"""Pictures that the encoder gets at once, whatever the batch: what it makes of more leaves the processor's caches.

16 at once take a sixth more time, and several times the memory.
"""


class OnnxEngine:
    """An `Engine`, whose regions are arrays B x R x D.

    What it cannot compute, gradients and samples, it has torch compute from its regions.

    Args:
        graphs: of the model.
        weights: of the model, as `read_weights` gives them.
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
        self._encoder = _Session(graphs.parts["encoder"], weights)
        self._matcher = _Session(graphs.parts["matcher"], weights) if self.matches else None
        self.speaker = OnnxSpeaker(graphs, weights)

    def check(self, options: DecodingOptions) -> None:
        """There is no language model to read anything."""

    def encode(self, arrays: UInt8Array) -> Float32Array:
        starts = range(0, max(len(arrays), 1), _AT_ONCE)
        parts = [self._encoder.run(pictures=arrays[start : start + _AT_ONCE])["regions"] for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def means(self, regions: Float32Array) -> Float32Array:
        means: Float32Array = regions.mean(1)
        return means

    def picture_vectors(self, regions: Float32Array) -> Float32Array:
        assert self._matcher is not None, "the captioner asks a model that matches"
        return self._matcher.run(regions=regions)["vectors"]

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
    ) -> list[list[Hypothesis]]:
        if options.sample:
            return self._torch.decode(_tensor(regions), options, prefix=prefix, seeds=seeds)
        if not options.rerank:
            return beam_search(self.speaker, regions, options, prefix, state)
        # All that the beam has in view costs no more than the best of it.
        every = options.replace(num_captions=max(options.beam_size, options.num_captions))
        found, pictures = beam_search(self.speaker, regions, every, prefix, state), self.picture_vectors(regions)
        alike = [
            (self.sentence_vectors([one.tokens for one in f]) @ p).tolist()
            for f, p in zip(found, pictures, strict=True)
        ]
        ranked = [rerank(each, bonus, options.rerank) for each, bonus in zip(found, alike, strict=True)]
        return [each[: options.num_captions] for each in ranked]

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
        return self.speaker.trace(self.speaker.start(regions) if state is None else state, captions)

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
    """A `Speaker` of regions B x R x D."""

    def __init__(self, graphs: Graphs, weights: Mapping[str, Float32Array]) -> None:
        self._leaves, self._heads = graphs.leaves, graphs.heads
        self._start, self._step = (_Session(graphs.parts[part], weights) for part in ("start", "step"))

    def start(self, regions: Float32Array) -> OnnxState:
        return OnnxState(self._start.run(regions=regions), np.arange(len(regions)))

    def step(self, tokens: IntArray, state: OnnxState) -> tuple[Float32Array, Float32Array | None, OnnxState]:
        said, attention, state = self.attend(tokens, state)
        return said, None if attention is None else attention.mean((1, 2)), state

    def attend(self, tokens: IntArray, state: OnnxState) -> tuple[Float32Array, Float32Array | None, OnnxState]:
        """`step` with the attention of every head told apart, N x layers x heads x R."""
        told = self._step.run(tokens=tokens.astype(np.int64), **state.arrays)
        changed = {leaf.name: told[f"next_{leaf.name}"] for leaf in self._leaves if leaf.changes}
        new = OnnxState({**state.arrays, **changed}, state.pictures, told.get("sentinel"))
        return told["said"], told.get("attention"), new

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
        said, seen, own = [], [], []
        for now, following in zip(tokens.T, tokens.T[1:], strict=False):
            log_probabilities, attention, state = self.attend(now, state)
            said.append(log_probabilities[np.arange(len(tokens)), following])
            seen += [] if attention is None else [attention]
            own += [] if state.share is None else [state.share]
        told = np.stack(said, 1)
        weights, shares = (np.stack(each, 1) if each else None for each in (seen, own))
        return [
            Forced(
                told[row, : len(caption) + 1],
                None if weights is None else weights[row, : len(caption)],
                None,
                None if shares is None else shares[row, : len(caption)],
            )
            for row, caption in enumerate(captions)
        ]


class _Session:
    """One graph with its weights.

    Raises:
        ValueError: if ONNX Runtime does not take it.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Float32Array]) -> None:
        onnxruntime = load_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong comes as an exception, too
        options.intra_op_num_threads = threads()
        # Threads that wait busily for the next run would take cores from other graphs and from reading processes.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        held = {name: onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in graph.weights}
        options.add_external_initializers(list(held), list(held.values()))
        try:
            self._session = onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # pybind's own types, which have no common one
            raise ValueError(str(error).splitlines()[0]) from None
        self._takes = [one.name for one in self._session.get_inputs()]
        self._gives = [one.name for one in self._session.get_outputs()]

    def run(self, **arrays: AnyArray) -> dict[str, AnyArray]:
        """The outputs by name."""
        given = {name: arrays[name] for name in self._takes}
        return dict(zip(self._gives, self._session.run(self._gives, given), strict=True))


def _runs(pictures: IntArray) -> tuple[IntArray, IntArray]:
    """The pictures of N rows that lie beside each other and how many rows each has; all as many, or one each."""
    begins = np.flatnonzero(np.diff(pictures, prepend=-1))
    counts = np.diff(begins, append=len(pictures))
    return (pictures[begins], counts) if len(set(counts.tolist())) < 2 else (pictures, np.ones_like(pictures))


def threads() -> int:
    """How many threads compute, as torch would have it: `OMP_NUM_THREADS`, or 0 for as many as there are cores."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    # Of all of them ONNX Runtime knows best which share a core.
    return 0 if allowed == os.cpu_count() else allowed


def _tensor(regions: Float32Array) -> Any:
    import torch

    return torch.from_numpy(regions)
