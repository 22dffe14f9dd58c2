"""From which score on a picture has to do with a query: the floor of `capcli search`.

usage: python benchmarks/search_floor.py --data DATASET --absent DATASET [--split NAME] [--model NAME|FILE]

Searches the pictures of a split (by default dev) for what is there, their own references, and for what is not there,
the references of another data set about other things. Prints for floors how many references reach their own picture and
how many of the others reach any picture, and the score that four of five references reach, which rounded is
`capcli.library.options.FLOOR` for the model that ships. Choose by dev splits, never by test pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import describe

from capcli.evaluation.references import read_references
from capcli.model.options import ModelOptions
from capcli.runs.session import Session


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--absent", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    known = read_references(options.data, options.split).items
    items = [item for item in known if item.image is not None and item.captions]
    with Session(ModelOptions(model=options.model)) as session:
        batches = session.batches(session.captioner.picture_vectors, [item.image for item in items])
        pictures = np.stack([vector for batch in batches for _, vector in batch if vector is not None])
        sentences = [sentence for item in items for sentence in item.captions]
        owners = np.repeat(np.arange(len(items)), [len(item.captions) for item in items])
        own_scores = np.einsum("ne,ne->n", session.captioner.sentence_vectors(sentences), pictures[owners])
        absent = [item.captions[0] for item in read_references(options.absent, options.split).items if item.captions]
        best = (session.captioner.sentence_vectors(absent) @ pictures.T).max(1)
    print(f"{len(pictures):,} pictures, {len(own_scores):,} references of theirs, {len(best):,} of what is not there")
    print("floor  own picture found  absent things found")
    for floor in np.arange(0.2, 0.71, 0.05):
        print(f"{floor:5.2f}  {(own_scores >= floor).mean():17.1%}  {(best >= floor).mean():19.1%}")
    print(f"four of five references reach {np.quantile(own_scores, 0.2):.3f}")


if __name__ == "__main__":
    main()
