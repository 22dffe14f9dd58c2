"""CIDEr-D and speed over decoding options, on a dev split: how a model's options are chosen.

usage: python benchmarks/decoding.py DATASET [DATASET ...] [--model NAME|FILE] [--beam-sizes 1,2,3,5]
       [--length-penalties 0.7,1,1.3] [--lm FILE --lm-weights 0,0.1,0.2 --lm-rescores=-0.2,0,0.2]
       [--reranks 0,0.5,1] [--word-weights 0,0.5] [--pictures N]

Encodes the dev split of each DATASET once (anything `capcli train --data` reads), or its first N pictures, then
searches it with every combination. Prints a line for each, and last the best one, by the mean over the data sets. It
never looks at a test split. CIDEr-D is that of capcli.metrics: within 0.001 of the COCO toolkit's, whose tokenizer
differs in a few words. "Nouns right" is the share of captions of which a person named every noun of nouns.txt.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe
from nouns import Nouns


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--model", default="base")
    parser.add_argument("--beam-sizes", type=numbers(int), default=[1, 2, 3, 4, 5])
    parser.add_argument("--length-penalties", type=numbers(float), default=[0.7, 1.0, 1.3])
    parser.add_argument("--lm")
    parser.add_argument("--lm-weights", type=numbers(float), default=[0.0])
    parser.add_argument("--lm-rescores", type=numbers(float), default=[0.0])
    parser.add_argument("--reranks", type=numbers(float), help="weights of the matcher, for a model that has one")
    parser.add_argument("--word-weights", type=numbers(float), help="of expected words, for a model that has them")
    parser.add_argument("--pictures", type=int)
    options = parser.parse_args()

    from capcli.captioner import Captioner
    from capcli.datasets import read_dataset
    from capcli.errors import CapcliError
    from capcli.metrics import corpus_cider_d, tokenize
    from capcli.modelfile.shipped import find_model
    from capcli.pictures.stream import ReadingPool

    print(f"machine: {describe()}")
    try:
        captioner = Captioner.of_file(find_model(options.model), language_model=options.lm)
        collections = [read_dataset(path).split("dev")[: options.pictures] for path in options.datasets]
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    for path, items in zip(options.datasets, collections, strict=True):
        if not items:
            raise SystemExit(f"{path}: has no dev split")
    references = [[[tokenize(caption) for caption in item.captions] for item in items] for items in collections]
    nouns = Nouns.read()
    named = [[{noun for text in item.captions for noun in nouns.find(text)} for item in items] for items in collections]
    encoded = []
    with ReadingPool() as pool:
        for items in collections:
            batches = pool.stream([item.image for item in items], captioner.size, 32)
            encoded.append([captioner.encode(np.stack([reading.array for reading in batch])) for batch in batches])  # type: ignore[misc]
    count = sum(map(len, collections))

    grid = {
        "beam_size": options.beam_sizes,
        "length_penalty": options.length_penalties,
        "lm_weight": options.lm_weights,
        "lm_rescore": options.lm_rescores,
        "rerank": options.reranks or [captioner.options.rerank],
        "word_weight": options.word_weights or [captioner.options.word_weight],
    }
    results = []
    for values in itertools.product(*grid.values()):
        combination = dict(zip(grid, values, strict=True))
        chosen = captioner.options.replace(**combination)
        try:
            captioner.check(chosen)
        except CapcliError as error:
            raise SystemExit(str(error)) from None
        label = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in combination.items())
        start = time.perf_counter()
        found = [[result for regions in batches for result in captioner.decode(regions, chosen)] for batches in encoded]
        taken = time.perf_counter() - start
        hypotheses = [[tokenize(caption.text) for caption in captions] for captions in found]
        scores = [corpus_cider_d(*pair) for pair in zip(references, hypotheses, strict=True)]
        length = np.mean([len(words) for captions in hypotheses for words in captions])
        right = [
            np.mean([set(nouns.find(caption.text)) <= people for caption, people in zip(*pair, strict=True)])
            for pair in zip(found, named, strict=True)
        ]
        results.append((float(np.mean(scores)), label))
        print(
            f"{label}: CIDEr-D {' '.join(f'{score:.4f}' for score in scores)}, mean {np.mean(scores):.4f}, "
            f"nouns right {' '.join(f'{share:.2f}' for share in right)}, {length:.1f} words, "
            f"{count / taken:.0f} images/s without the encoder",
            flush=True,
        )
    score, label = max(results)
    print(f"best: {label}, CIDEr-D {score:.4f}")


def numbers(kind: Callable[[str], float]) -> Callable[[str], list[float]]:
    return lambda text: [kind(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
