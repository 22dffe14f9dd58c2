"""The matcher's vectors of sentences without torch, which takes longer to load than a search takes.

It computes what `capcli.model.matcher.Matcher` does with sentences, in NumPy: a bidirectional GRU (Cho et al. 2014)
over word embeddings, the states of which are pooled by learned weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from capcli.arrays import Float32Array, FloatArray
from capcli.model.matcher_config import MatcherConfig
from capcli.words.tokens import tokenize
from capcli.words.vocabulary import END, Vocabulary

_SMALLEST = 1e-12
"""What a vector's length is at least taken for, as in torch."""


def weight_shapes(config: MatcherConfig, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """The weights that sentences need of a matcher, by the names of its state, and their shapes."""
    width, half = config.width, config.width // 2
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (vocabulary_size, config.embedding),
        "word_pooling.energy.weight": (config.heads, width),
        "word_pooling.energy.bias": (config.heads,),
        "sentence.weight": (width, width),
        "sentence.bias": (width,),
    }
    for end in ("l0", "l0_reverse"):
        shapes[f"states.weight_ih_{end}"] = (3 * half, config.embedding)
        shapes[f"states.weight_hh_{end}"] = (3 * half, half)
        shapes[f"states.bias_ih_{end}"] = shapes[f"states.bias_hh_{end}"] = (3 * half,)
    return shapes


class SentenceEncoder:
    """Gives the vectors of sentences that a matcher compares with those of pictures.

    Args:
        config: the matcher's.
        vocabulary: the words that it knows.
        weights: arrays of floats as `weight_shapes` has them.
    """

    def __init__(self, config: MatcherConfig, vocabulary: Vocabulary, weights: Mapping[str, FloatArray]) -> None:
        self._config, self._vocabulary = config, vocabulary
        self._embedding = weights["embedding.weight"]  # of which few rows are needed
        rest = (name for name in weights if name != "embedding.weight")
        self._weights: dict[str, Float32Array] = {name: weights[name].astype(np.float32) for name in rest}

    def sentence_vectors(self, sentences: Sequence[str]) -> Float32Array:
        """Unit vectors, float32 N x E, of N sentences; words that the model does not know count as `<unknown>`."""
        return self.embed([self._vocabulary.encode(tokenize(sentence)) for sentence in sentences])

    def embed(self, sentences: Sequence[Sequence[int]]) -> Float32Array:
        """The same for N lists of word indices of any length."""
        vectors = np.zeros((len(sentences), self._config.width), np.float32)
        for place, words in enumerate(sentences):
            vectors[place] = self._embed(words)
        return vectors

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the model does not know."""
        return [word for word in words if word not in self._vocabulary]

    def _embed(self, words: Sequence[int]) -> Float32Array:
        """The unit vector, E, of T word indices."""
        # As in torch, a sentence without words is its end alone.
        embedded = self._embedding[list(words) or [END]].astype(np.float32)
        ahead = self._states(embedded, "l0")
        back = self._states(embedded[::-1], "l0_reverse")[::-1]
        pooled = self._pool(np.concatenate([ahead, back], axis=1))
        vector = self._linear(pooled[None], "sentence")[0]
        unit: Float32Array = vector / max(float(np.linalg.norm(vector)), _SMALLEST)
        return unit

    def _states(self, embedded: Float32Array, end: str) -> Float32Array:
        """The states, T x E / 2, of one direction of the GRU for T x D embedded words in its order."""
        given = _multiply(embedded, self._weights[f"states.weight_ih_{end}"]) + self._weights[f"states.bias_ih_{end}"]
        recurrent, bias = self._weights[f"states.weight_hh_{end}"], self._weights[f"states.bias_hh_{end}"]
        state = np.zeros(recurrent.shape[1], np.float32)
        states = []
        for reset, update, new in given.reshape(len(given), 3, -1):
            held_reset, held_update, held_new = (_multiply(state[None], recurrent)[0] + bias).reshape(3, -1)
            keep = _sigmoid(update + held_update)
            state = (1 - keep) * np.tanh(new + _sigmoid(reset + held_reset) * held_new) + keep * state
            states.append(state)
        return np.stack(states)

    def _pool(self, items: Float32Array) -> Float32Array:
        """T x E items pooled to E numbers, as `capcli.model.matcher.AttentivePooling` does."""
        energy = self._linear(items, "word_pooling.energy")
        weights = np.exp(energy - energy.max(0))
        weights /= weights.sum(0)
        shares = items.reshape(*weights.shape, -1)
        pooled: Float32Array = (weights[:, :, None] * shares).sum(0).reshape(-1)
        return pooled

    def _linear(self, items: Float32Array, name: str) -> Float32Array:
        """T x F numbers of T x E items."""
        given: Float32Array = _multiply(items, self._weights[f"{name}.weight"]) + self._weights[f"{name}.bias"]
        return given


def _multiply(items: Float32Array, weight: Float32Array) -> Float32Array:
    """T x F products of T x D items with each of F rows of weights.

    A row at a time NumPy starts no threads: for a sentence they take ten times as long as the products.
    """
    return np.stack([(weight[:, None] @ item)[:, 0] for item in items])


def _sigmoid(values: Float32Array) -> Float32Array:
    # By tanh, which no value overflows.
    bounded: Float32Array = 0.5 * np.tanh(0.5 * values) + 0.5
    return bounded
