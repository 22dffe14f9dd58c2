"""The matcher's vectors of sentences without torch, which takes longer to load than a search takes.

It computes what `capcli.model.matcher.Matcher` does with sentences, in NumPy: a bidirectional GRU (Cho et al. 2014)
over word embeddings, the states of which are pooled by learned weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from capcli.arrays import BoolArray, Float32Array, FloatArray
from capcli.model.matcher_config import MatcherConfig
from capcli.words.tokens import tokenize
from capcli.words.vocabulary import END, PAD, Vocabulary

_SMALLEST = 1e-12
"""What a vector's length is at least taken for, as in torch."""

_AT_ONCE = 64
"""Sentences that are computed at once."""

_MANY = 24
"""Rows from which on a product is worth threads: more than the words of most sentences."""


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
        # As in torch, a sentence without words is its end alone.
        words = [list(sentence) or [END] for sentence in sentences]
        # Those of about one length are computed at once, so that few places are empty.
        order = np.argsort([len(sentence) for sentence in words], kind="stable")
        vectors = np.zeros((len(words), self._config.width), np.float32)
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            vectors[some] = self._embed([words[place] for place in some])
        return vectors

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the model does not know."""
        return [word for word in words if word not in self._vocabulary]

    def _embed(self, sentences: Sequence[Sequence[int]]) -> Float32Array:
        """The unit vectors, N x E, of N lists of at most T word indices, none of which is empty."""
        lengths = np.array([len(words) for words in sentences])
        longest = int(lengths.max())
        padded = np.array([[*words, *[PAD] * (longest - len(words))] for words in sentences])
        places = np.arange(longest)
        # Of each place the one that is as far from the other end of its sentence; any for an empty place.
        mirror = ((lengths[:, None] - 1 - places) % longest)[..., None]
        embedded = self._embedding[padded].astype(np.float32)
        ahead = self._states(embedded, "l0")
        back = self._states(np.take_along_axis(embedded, mirror, 1), "l0_reverse")
        states = np.concatenate([ahead, np.take_along_axis(back, mirror, 1)], 2)
        vectors = self._linear(self._pool(states, places < lengths[:, None]), "sentence")
        unit: Float32Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SMALLEST)
        return unit

    def _states(self, embedded: Float32Array, end: str) -> Float32Array:
        """The states, N x T x E / 2, of one direction of the GRU for N x T x D embedded words in its order."""
        given = _multiply(embedded, self._weights[f"states.weight_ih_{end}"]) + self._weights[f"states.bias_ih_{end}"]
        recurrent, bias = self._weights[f"states.weight_hh_{end}"], self._weights[f"states.bias_hh_{end}"]
        state = np.zeros((len(given), recurrent.shape[1]), np.float32)
        states = []
        for now in given.swapaxes(0, 1):
            reset, update, new = np.split(now, 3, 1)
            held_reset, held_update, held_new = np.split(_multiply(state, recurrent) + bias, 3, 1)
            keep = _sigmoid(update + held_update)
            state = (1 - keep) * np.tanh(new + _sigmoid(reset + held_reset) * held_new) + keep * state
            states.append(state)
        return np.stack(states, 1)

    def _pool(self, items: Float32Array, there: BoolArray) -> Float32Array:
        """N x E of N x T x E items, of which N x T are there, as `capcli.model.matcher.AttentivePooling` pools them."""
        energy = np.where(there[..., None], self._linear(items, "word_pooling.energy"), -np.inf)
        weights = np.exp(energy - energy.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        shares = items.reshape(*weights.shape, -1)
        pooled: Float32Array = (weights[..., None] * shares).sum(1).reshape(len(items), -1)
        return pooled

    def _linear(self, items: Float32Array, name: str) -> Float32Array:
        """... x F numbers of ... x E items."""
        given: Float32Array = _multiply(items, self._weights[f"{name}.weight"]) + self._weights[f"{name}.bias"]
        return given


def _multiply(items: Float32Array, weight: Float32Array) -> Float32Array:
    """... x F products of ... x D items with each of F rows of weights."""
    rows = items.reshape(-1, items.shape[-1])
    if len(rows) < _MANY:
        # A row at a time NumPy starts no threads: for a sentence they take ten times as long as the products.
        products = np.stack([(weight[:, None] @ row)[:, 0] for row in rows])
    else:
        products = rows @ weight.T
    multiplied: Float32Array = products.reshape(*items.shape[:-1], -1)
    return multiplied


def _sigmoid(values: Float32Array) -> Float32Array:
    # By tanh, which no value overflows.
    bounded: Float32Array = 0.5 * np.tanh(0.5 * values) + 0.5
    return bounded
