"""Below which score a picture has nothing to do with a query: the floor of `capcli search`.

usage: python benchmarks/search_floor.py --data DATASET [--split NAME] [--model NAME|FILE] [--strangers SHARE]

Scores each reference of a data set against its own picture and against all others. Prints how many of each lie above
floors, and the floor that only a share of the others reach (by default one of a thousand), which is
`capcli.library.options.FLOOR` for the model that ships. Choose by a dev split, never by test pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import describe

from capcli.arrays import Float32Array
from capcli.evaluation.references import read_references
from capcli.model.options import ModelOptions
from capcli.runs.session import Session


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--model", default="base")
    parser.add_argument("--strangers", type=float, default=0.001)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    own, others = score_pairs(options.data, options.split, options.model)
    floor = float(np.quantile(others, 1 - options.strangers))
    print(f"{len(own):,} references with their own pictures, {len(others):,} pairs of strangers")
    print("floor  own above  strangers above")
    for at in (*np.arange(0.1, 0.65, 0.05), floor):
        print(f"{at:5.3f}  {(own >= at).mean():9.1%}  {(others >= at).mean():.3%}")
    print(f"the floor that {options.strangers:.2%} of strangers reach: {floor:.3f}")


def score_pairs(data: Path, split: str | None, model: str) -> tuple[Float32Array, Float32Array]:
    """Scores of references with their own pictures, and of all other pairs."""
    items = [item for item in read_references(data, split).items if item.image is not None and item.captions]
    with Session(ModelOptions(model=model)) as session:
        pictures = [item.image for item in items]
        batches = session.batches(session.captioner.picture_vectors, pictures)
        vectors = [vector for batch in batches for _, vector in batch]
        sentences = [sentence for item in items for sentence in item.captions]
        owners = np.repeat(np.arange(len(items)), [len(item.captions) for item in items])
        scores = session.captioner.sentence_vectors(sentences) @ np.stack([v for v in vectors if v is not None]).T
    own = np.zeros(scores.shape, bool)
    own[np.arange(len(owners)), owners] = True
    return scores[own], scores[~own]


if __name__ == "__main__":
    main()
