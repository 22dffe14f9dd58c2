"""The words that a model gives pictures as keywords: fitted to training pictures, and measured on dev pictures.

usage: python benchmarks/keywords.py fit DATASET[:N][@W] [DATASET[:N][@W] ...] [--model NAME|FILE] [--cache FOLDER]
       python benchmarks/keywords.py measure DATASET[:N] [DATASET[:N] ...] [--model NAME|FILE] [--cache FOLDER]

DATASET is anything `capcli train --data` reads; of each split N pictures take part, drawn at random, or all. Each
training picture counts W times as much as another, by default once, and less where it has fewer than five captions: a
fifth for each. `benchmarks/hold_out.py` gives a data set without dev pictures some.

`fit` writes MODEL.keywords beside the model. It takes the mean of the regions of each training picture, and the nouns
of its captions by `benchmarks/nouns.py`; a network with one hidden layer learns to tell from the one whether a noun is
among the others. On dev pictures with five captions or more it then counts, for every score, how often the noun is
there, which is the probability of a keyword. The encoder itself stays as it is.

`measure` prints for the dev split of each data set how many keywords a picture gets, the share of them that are nouns
of its captions, the same divided by five for each picture, and the share of the captions' nouns that are found among
five: of the nouns of the model's own caption; of keywords without and with the floor; and of as many keywords as the
caption has nouns. Then, by cross-validation over five parts of the dev pictures, how often keywords of a probability
are right.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import describe
from nouns import Nouns

from capcli.arrays import AnyArray, BoolArray, Float32Array
from capcli.datasets import Item, read_dataset
from capcli.datasets.dataset import is_held_out
from capcli.errors import CapcliError, DatasetError, UsageError
from capcli.files.atomic import write_atomic
from capcli.files.hashing import file_hash
from capcli.keywords.head import KeywordHead
from capcli.modelfile.header import read_header
from capcli.modelfile.shipped import find_model

if TYPE_CHECKING:
    from capcli.captioner import Captioner

BATCH = 32
HIDDEN, DROPPED, DROPPED_INPUTS = 1536, 0.75, 0.2
"""Width of the hidden layer, and the shares of its units and of the features that a step of training leaves out."""
EPOCHS, STEP_PICTURES, RATE, DECAY = 16, 256, 1e-3, 1e-4
MIXED = 0.4
"""Half of the steps see mixtures of two pictures and of their nouns, of shares from Beta(0.4, 0.4) (Zhang et al. 2018,
mixup)."""
FEWEST = 20
"""Training pictures of a word."""
JUDGES = 5
"""Captions of a picture that counts as if it showed all that people name."""
FLOOR = 0.3
SUREST = 15.0
"""Logits beyond it count as if they were it."""
FOLDS = 5
GIVEN = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("task", choices=("fit", "measure"))
    run(parser, lambda options: (fit if options.task == "fit" else measure)(options))


def run(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], None]) -> None:
    """Does some work on the regions of data sets, with the options that all such work has."""
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--model", default="base")
    parser.add_argument("--cache", type=Path, help="keep the means of regions here")
    options = parser.parse_args()
    print(f"machine: {describe()}")
    try:
        work(options)
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def fit(options: argparse.Namespace) -> None:
    """Fits the words to the training pictures, and their probabilities to the dev pictures."""
    captioner, nouns = load(options.model), Nouns.read()
    held_out = read_header(find_model(options.model)).held_out
    drawn, judged = draw_train(options.datasets, held_out), draw_judged(options.datasets)
    train = [item for items in drawn for item in items]
    labels = [nouns_of(item, nouns) for item in train]
    counts = Counter(word for picture_labels in labels for word in picture_labels)
    words = tuple(sorted(word for word, count in counts.items() if count >= FEWEST))
    if not words:
        raise DatasetError(f"no noun is in the captions of {FEWEST} training pictures; add data")
    weights = [weight_of(dataset) for dataset, items in zip(options.datasets, drawn, strict=True) for _ in items]
    shares = [weight * min(1.0, len(item.captions) / JUDGES) for item, weight in zip(train, weights, strict=True)]
    layers = learn(pool(captioner, train, cache_of(options)), table(labels, words), np.array(shares, np.float32))
    synonyms = {other: word for word in words for other in nouns.others[word]}
    head = KeywordHead(words, synonyms, *layers, np.zeros((0, 2), np.float32), FLOOR, "")
    right = table([nouns_of(item, nouns) for item in judged], words)
    knots = calibrate_logits(head.scores(pool(captioner, judged, cache_of(options))), right > 0)
    place = dataclasses.replace(head, calibration=knots).save(options.model)
    print(f"{len(train):,} training pictures, {len(judged):,} dev pictures, {len(words):,} words: {place}")


def measure(options: argparse.Namespace) -> None:
    """Prints how good keywords are, beside the nouns of the caption."""
    refuse_weights(options.datasets)
    captioner, nouns, head = load(options.model), Nouns.read(), KeywordHead.of_model(options.model)
    for dataset in options.datasets:
        items = draw([dataset], "dev")
        if not items:
            raise DatasetError(f"{dataset}: holds no dev pictures; benchmarks/hold_out.py gives a data set some")
        truth = [nouns_of(item, nouns) for item in items]
        scores = head.scores(pool(captioner, items, cache_of(options)))
        captions = caption(captioner, items)
        baseline = [nouns.find(sentence)[:GIVEN] for sentence in captions]
        best = [[head.words[place] for place in row[:GIVEN]] for row in np.argsort(-scores, 1, kind="stable")]
        calibrated = np.interp(scores, *head.calibration.T)
        sure = [
            [word for word in row if calibrated[n, head.words.index(word)] >= head.floor] for n, row in enumerate(best)
        ]
        print(f"\n{dataset}: {len(items):,} pictures, {np.mean([len(words) for words in truth]):.1f} nouns each")
        print(f"{'':34}given  right of given  right of five  found")
        report("nouns of the caption", baseline, truth)
        report("as many keywords as these", [row[: len(mine)] for row, mine in zip(best, baseline, strict=True)], truth)
        report("five keywords", best, truth)
        report(f"those of {head.floor:g} and more", sure, truth)
        if min(len(item.captions) for item in items) >= JUDGES:
            print_reliability(scores, table(truth, head.words) > 0)


def load(model: str) -> Captioner:
    from capcli.captioner import Captioner

    return Captioner.of_file(find_model(model))


def draw(datasets: Sequence[str], split: str, held_out: float = 0.0) -> list[Item]:
    """Pictures of a split of each data set, of DATASET:N at most N.

    Of one without a dev split those are left out that a training which held out such a share of them did not see.
    """
    found = []
    for dataset in datasets:
        name, limit, _ = _parse(dataset)
        data = read_dataset(Path(name))
        share = 0.0 if data.split("dev") else held_out
        items = [item for item in data.split(split) if not is_held_out(item.image, share)]
        random.Random(0).shuffle(items)
        found += items[: int(limit) if limit else None]
    return found


def draw_train(datasets: Sequence[str], held_out: float) -> list[list[Item]]:
    """The training pictures of each data set, as `draw` has them, without what another holds out for dev or test."""
    items = [item for dataset in datasets for item in read_dataset(Path(_parse(dataset)[0])).items]
    kept = {item.image.resolve() for item in items if item.split in ("dev", "test")}
    return [
        [item for item in draw([dataset], "train", held_out) if item.image.resolve() not in kept]
        for dataset in datasets
    ]


def draw_judged(datasets: Sequence[str]) -> list[Item]:
    """The dev pictures that have captions enough to fit probabilities to; raises DatasetError where there are none."""
    judged = [item for item in draw(datasets, "dev") if len(item.captions) >= JUDGES]
    if not judged:
        raise DatasetError(
            f"the data sets hold no dev pictures with {JUDGES} captions, which probabilities are fitted to; "
            "benchmarks/hold_out.py gives a data set some"
        )
    return judged


def weight_of(dataset: str) -> float:
    """How much each picture of DATASET[:N][@W] counts."""
    return float(_parse(dataset)[2] or 1)


def refuse_weights(datasets: Sequence[str]) -> None:
    """Raises UsageError for a DATASET[:N] with a weight behind it."""
    for dataset in datasets:
        if weight := _parse(dataset)[2]:
            raise UsageError(f"{dataset}: pictures all count the same here; leave @{weight} out")


def _parse(dataset: str) -> tuple[str, ...]:
    """DATASET, N and W; what is there under the whole name is DATASET alone."""
    if Path(dataset).exists():
        return dataset, "", ""
    return re.fullmatch(r"(.*?)(?::(\d+))?(?:@(\d*\.?\d+))?", dataset, re.DOTALL).groups("")  # type: ignore[union-attr]


def nouns_of(item: Item, nouns: Nouns) -> set[str]:
    return {noun for caption in item.captions for noun in nouns.find(caption)}


def table(labels: Sequence[set[str]], words: Sequence[str]) -> Float32Array:
    """B x W: 1 where a picture has a word."""
    place = {word: number for number, word in enumerate(words)}
    found = np.zeros((len(labels), len(words)), np.float32)
    for row, picture_labels in zip(found, labels, strict=True):
        row[[place[word] for word in picture_labels if word in place]] = 1
    return found


def cache_of(options: argparse.Namespace) -> Path | None:
    folder: Path | None = options.cache
    return None if folder is None else folder / f"{file_hash(find_model(options.model))[:16]}.npz"


def pool(captioner: Captioner, items: Sequence[Item], file: Path | None) -> Float32Array:
    """Means of the pictures' regions, B x D; those that the cache file has are not computed anew."""
    kept: dict[str, AnyArray] = {}
    if file and file.is_file():
        with np.load(file) as held:
            kept = dict(zip(held["pictures"].tolist(), held["means"], strict=True))
    todo = [item.image for item in items if str(item.image.resolve()) not in kept]
    for start in range(0, len(todo), BATCH):
        part = todo[start : start + BATCH]
        means = captioner.pooled(np.stack([captioner.prepare(image) for image in part])).astype(np.float16)
        kept |= {str(image.resolve()): mean for image, mean in zip(part, means, strict=True)}
    if file and todo:
        file.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, pictures=np.array(list(kept)), means=np.stack(list(kept.values())))
        write_atomic(file, content.getvalue())
    return np.stack([kept[str(item.image.resolve())] for item in items]).astype(np.float32)


def learn(
    pooled: Float32Array, right: Float32Array, shares: Float32Array, seed: int = 0
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """Weight H x D, bias H, weight W x H and bias W of a network that tells B x W truths from B x D features.

    It learns by binary cross-entropy, to which each picture adds its share.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    mean, deviation = pooled.mean(0), pooled.std(0) + 1e-6
    # What is the same in all pictures would keep the weights that it began with, divided by nearly nothing.
    deviation[np.ptp(pooled, 0) == 0] = np.inf
    features, counted = torch.from_numpy((pooled - mean) / deviation), torch.from_numpy(shares)[:, None]
    named = torch.from_numpy(right) * counted
    hidden, out = nn.Linear(features.shape[1], HIDDEN), nn.Linear(HIDDEN, named.shape[1])
    # Most words are in few captions.
    nn.init.constant_(out.bias, -5)
    network = nn.Sequential(nn.Dropout(DROPPED_INPUTS), hidden, nn.ReLU(), nn.Dropout(DROPPED), out)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    at_once = min(STEP_PICTURES, len(features))
    steps = EPOCHS * (len(features) // at_once)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    mixed = torch.distributions.Beta(MIXED, MIXED)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(features)).split(at_once)[: len(features) // at_once]:
            step = [array[chosen] for array in (features, named, counted)]
            if torch.rand(()) < 0.5:
                share, other = mixed.sample(), torch.randperm(at_once)
                step = [share * array + (1 - share) * array[other] for array in step]
            given, wanted, weights = step
            logits = network(given)
            # Cross-entropy of logits z for truths y, s times: s log(1 + exp(z)) - s y z.
            losses = weights * nn.functional.softplus(logits) - wanted * logits
            optimizer.zero_grad()
            losses.sum(1).mean().backward()
            optimizer.step()
            schedule.step()
    weight, bias, last, last_bias = (parameter.detach().numpy() for parameter in network.parameters())
    weight = weight / deviation
    return weight, (bias - weight @ mean).astype(np.float32), last, last_bias


def calibrate(scores: Float32Array, right: BoolArray) -> Float32Array:
    """Scores and how often words of such scores are right, both rising, K x 2; raises DatasetError for too few."""
    order = np.argsort(scores, axis=None)
    ordered, truth = scores.ravel()[order].astype(np.float64), right.ravel()[order].astype(np.float64)
    edges = np.unique(np.searchsorted(ordered, np.arange(0, 1.05, 0.05)))
    parts = [slice(start, stop) for start, stop in zip([0, *edges], [*edges, len(ordered)], strict=True)]
    knots = [(ordered[part].mean(), truth[part].mean()) for part in parts if part.stop - part.start >= 30]
    if not knots:
        raise DatasetError("the dev pictures are too few to fit probabilities to; add some")
    rising = np.maximum.accumulate(np.array(knots), 0)
    return rising.astype(np.float32)


def calibrate_logits(scores: Float32Array, right: BoolArray) -> Float32Array:
    """`calibrate` of scores that are logits."""
    # A probability that float32 rounds to 1 has no logit.
    knots = calibrate(np.reciprocal(1 + np.exp(-scores.clip(-SUREST, SUREST))), right)
    knots[:, 0] = np.log(knots[:, 0] / (1 - knots[:, 0]))
    return knots


def caption(captioner: Captioner, items: Sequence[Item]) -> list[str]:
    """The model's own captions."""
    return [result.text for result in captioner.caption([item.image for item in items])]


def report(name: str, given: Sequence[Sequence[str]], truth: Sequence[set[str]]) -> None:
    """Prints a line of the table."""
    hits = np.array([len(set(row) & true) for row, true in zip(given, truth, strict=True)])
    counts = np.array([len(row) for row in given])
    found = np.mean([hit / len(true) for hit, true in zip(hits, truth, strict=True) if true])
    right = hits.sum() / max(1, counts.sum())
    print(f"{name:34}{counts.mean():5.2f}{right:16.3f}{hits.mean() / GIVEN:15.3f}{found:7.3f}")


def print_reliability(scores: Float32Array, right: BoolArray) -> None:
    """Prints how often words of a probability are right, each picture's probabilities fitted to the other parts."""
    part = np.random.default_rng(0).integers(0, FOLDS, len(scores))
    probabilities = np.zeros_like(scores)
    for fold in range(FOLDS):
        knots = calibrate_logits(scores[part != fold], right[part != fold])
        probabilities[part == fold] = np.interp(scores[part == fold], *knots.T)
    print("probability    words  right")
    for tenth in range(1, 10):
        chosen = (probabilities >= tenth / 10) & (probabilities < (tenth + 1) / 10)
        if chosen.any():
            print(f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}{chosen.sum():9}{right[chosen].mean():7.3f}")


if __name__ == "__main__":
    main()
