"""How well a search finds pictures by what people wrote about them.

usage: python benchmarks/search_precision.py --data DATASET [--split NAME] [--pictures N]
                                             [--model NAME|FILE] [--words X]

Captions the first N pictures (by default 400) of a data set or of a split of it into a library with the installed
command, then searches it for each of their references: by both scores fused, by the matcher alone, and by BM25 of the
captions alone, without a floor. A reference belongs to one picture, so precision at 10 is at most 0.1: the share of
references whose picture is among the first 10 is ten times as much. With the floor it prints how many references find
nothing. X is how much a rank among captions counts.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import command, describe

from capcli.captioner import Captioner
from capcli.evaluation.references import read_references
from capcli.library import search as library_search
from capcli.library.changes import key_of
from capcli.library.contents import find_models
from capcli.library.options import SearchOptions
from capcli.library.search import Query, search, split_query
from capcli.modelfile.identity import identify_model

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--model", default="base")
    parser.add_argument("--words", type=float, default=library_search.WORDS)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    library_search.WORDS = options.words
    known = read_references(options.data, options.split).items
    items = [item for item in known if item.image is not None and item.captions][: options.pictures]
    asked = [(key_of(item.image), sentence) for item in items if item.image for sentence in item.captions]
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "photos.db"
        make_library(library, [item.image for item in items if item.image], options.model)
        vectors = Captioner.load(options.model).sentence_vectors([sentence for _, sentence in asked])
        models = find_models(library, identify_model(options.model).sha256)
        queries = [
            Query(split_query(sentence), vector, models) for (_, sentence), vector in zip(asked, vectors, strict=True)
        ]
        paths = [path for path, _ in asked]
        print(f"{len(items)} pictures, {len(asked):,} references")
        print("                 own first   own in 10   precision at 10   mean reciprocal rank")
        tell("fused", find_ranks(library, queries, paths))
        tell("matcher alone", find_ranks(library, [replace(query, words=()) for query in queries], paths))
        tell("BM25 alone", find_ranks(library, [replace(query, vector=None) for query in queries], paths))
        nothing = sum(not search(library, query, SearchOptions()) for query in queries)
        print(f"with the floor {nothing:,} of {len(queries):,} references find nothing")


def make_library(library: Path, pictures: Sequence[Path], model: str) -> None:
    names = "".join(f"{picture}\0" for picture in pictures)
    run = [command(), "caption", "-0", "-", "-o", str(library), "--model", model, "-q"]
    subprocess.run(run, input=names.encode(), check=True)


def find_ranks(library: Path, queries: Sequence[Query], paths: Sequence[str]) -> list[int]:
    """The place of each query's own picture, from 1 on; 0 where it is not among the first hundred."""
    ranks = []
    for query, path in zip(queries, paths, strict=True):
        found = [str(hit.path) for hit in search(library, query, SearchOptions(top=100, min_score=-1.0)).hits]
        ranks.append(found.index(path) + 1 if path in found else 0)
    return ranks


def tell(name: str, ranks: Sequence[int]) -> None:
    places = np.array(ranks, float)
    within = (places > 0) & (places <= TOP)
    reciprocal = np.divide(1, places, out=np.zeros_like(places), where=places > 0)
    first = (places == 1).mean()
    print(f"{name:15}  {first:9.3f}   {within.mean():9.3f}   {within.mean() / TOP:15.4f}   {reciprocal.mean():20.3f}")


if __name__ == "__main__":
    main()
