"""The words that a model lets a search expect of a picture, fitted to training pictures.

usage: python benchmarks/expected_words.py DATASET[:N] [DATASET[:N] ...] [--model NAME|FILE] [--cache FOLDER]

DATASET is anything `capcli train --data` reads, of which N pictures take part, or all. It writes MODEL.words beside the
model: a ridge regression tells from the mean of a training picture's regions which words are in its captions, function
words and rare ones left out. On dev pictures with five captions or more it then counts, for every score, how often the
word is there. The model itself stays as it is. `benchmarks/decoding.py --word-weights` shows what the words bring.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from keywords import JUDGES, cache_of, calibrate, draw_judged, draw_train, load, pool, refuse_weights, run, table
from nouns import word_set

from capcli.arrays import Float32Array
from capcli.datasets import Item
from capcli.errors import DatasetError
from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.header import read_header
from capcli.modelfile.shipped import find_model
from capcli.words.tokens import tokenize

RIDGE = 2000.0
"""Penalty of the weights, for features of deviation 1; 1,000 and 3,000 did no better on dev."""

FEWEST = 12
"""Training pictures of a word."""

EVEN, POWER, MOST_EVEN = 0.6, 0.4, 0.25
"""A word of which the share s of the training pictures has captions is even at 0.6 s ** 0.4, at most 0.25.

So a rare word need not become likely to be favoured. Chosen, as the others, on the three dev sets; the card has what
others bring.
"""

FLOOR, SHARE = 0.018, 0.5
"""As `ExpectedWords` has them."""

FUNCTION_WORDS = word_set(
    """
    a an the of on in at with by near behind beside over under from into onto to and or is are was were be being been
    that this these those it its his her their there who which while as for up down out off through along across around
    next other some two one three four five six against between several many few another each both all very has have
    having had not no can i you he she they them him what than then when where so such do does doing s t
    """
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    run(parser, fit)


def fit(options: argparse.Namespace) -> None:
    """Fits the words to the training pictures, and their probabilities to the dev pictures."""
    refuse_weights(options.datasets)
    captioner, file = load(options.model), find_model(options.model)
    described = read_header(file)
    train = [item for items in draw_train(options.datasets, described.held_out) for item in items]
    dev = draw_judged(options.datasets)
    labels = [words_of(item) for item in train]
    counts = Counter(word for picture_labels in labels for word in picture_labels)
    spoken = set(described.described["vocabulary"]) - FUNCTION_WORDS
    words = tuple(sorted(word for word in spoken if counts[word] >= FEWEST))
    if not words:
        raise DatasetError(f"no word of the model is in the captions of {FEWEST} training pictures; add data")
    shares = np.array([min(1.0, len(item.captions) / JUDGES) for item in train], np.float32)
    weight, bias = regress(pool(captioner, train, cache_of(options)), table(labels, words), shares)
    scores = pool(captioner, dev, cache_of(options)) @ weight.T + bias
    knots = calibrate(scores, table([words_of(item) for item in dev], words) > 0)
    usual = np.array([counts[word] / len(train) for word in words])
    even = np.minimum(EVEN * usual**POWER, MOST_EVEN).astype(np.float32)
    place = ExpectedWords(words, weight, bias, knots, even, FLOOR, SHARE).save(file)
    print(f"{len(train):,} training pictures, {len(dev):,} dev pictures, {len(words):,} words: {place}")


def regress(pooled: Float32Array, right: Float32Array, shares: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Weight W x D and bias W of a ridge regression from B x D features to B x W truths, each picture of its share."""
    mean, deviation = pooled.mean(0), pooled.std(0) + 1e-6
    features, weighed = (pooled - mean) / deviation, shares[:, None]
    level = (right * weighed).sum(0) / shares.sum()
    square = (features * weighed).T @ features + RIDGE * np.eye(features.shape[1], dtype=np.float32)
    weight = np.linalg.solve(square, (features * weighed).T @ (right - level)).T / deviation
    return weight.astype(np.float32), (level - weight @ mean).astype(np.float32)


def words_of(item: Item) -> set[str]:
    return {word for caption in item.captions for word in tokenize(caption)}


if __name__ == "__main__":
    main()
