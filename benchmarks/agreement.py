"""Whether tokens and metrics are those of the COCO toolkit, with its own Java tokenizer.

usage: python benchmarks/agreement.py DATASET [--predictions FILE] [--subsets N] [--size N] [--seed N]

DATASET is anything `capcli score --references` reads. Prints how many of all its captions have other tokens than the
toolkit's jar gives; and the largest difference from pycocoevalcap in BLEU-1 to 4, ROUGE-L and CIDEr-D
- of the predictions in FILE against the references of the images they are about,
- of the references against each other: the first of each image against its others,
- and on N (200) random subsets of --size (100) images, half of them of predictions, half of references, each tokenized
  anew by both, as the tokens of a caption can depend on the next one.
Needs `capcli[java]`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from machine import describe
from scoring import find_toolkit, toolkit

from capcli.errors import CapcliError
from capcli.evaluation import score
from capcli.evaluation.pairing import match
from capcli.evaluation.predictions import read_predictions
from capcli.evaluation.references import read_references
from capcli.metrics.java import find_java
from capcli.metrics.ptb.tokenizer import ptb_tokenize_lines


class Corpus(NamedTuple):
    """Captions to score; both sequences have an entry for every image."""

    title: str
    references: Sequence[Sequence[str]]
    hypotheses: Sequence[str]

    def subset(self, size: int, draw: random.Random) -> Corpus:
        places = draw.sample(range(len(self.hypotheses)), min(size, len(self.hypotheses)))
        return Corpus(self.title, [self.references[i] for i in places], [self.hypotheses[i] for i in places])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--subsets", type=int, default=200)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    try:
        jar = find_toolkit()
        corpora = read(options.dataset, options.predictions)
        captions = [caption for item in read_references(options.dataset, "all").items for caption in item.captions]
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    print(f"machine: {describe()}")
    others = sum(
        ours != theirs for ours, theirs in zip(ptb_tokenize_lines(captions), jar_tokens(captions, jar), strict=True)
    )
    print(f"tokens: {others:,} of {len(captions):,} captions differ")
    for corpus in corpora:
        print(
            f"{corpus.title}, {len(corpus.hypotheses):,} images: largest difference {difference(corpus):.1e}",
            flush=True,
        )
    draw = random.Random(options.seed)
    subsets = [corpora[number % len(corpora)].subset(options.size, draw) for number in range(options.subsets)]
    if subsets:
        largest = max(map(difference, subsets))
        print(f"{len(subsets)} random subsets of {options.size} images: largest difference {largest:.1e}")


def read(dataset: Path, predictions: Path | None) -> list[Corpus]:
    references = read_references(dataset)
    captions = [item.captions for item in references.items if len(item.captions) > 1]
    if not captions:
        raise CapcliError(f"{dataset}: no image has two captions")
    corpora = [
        Corpus("references against each other", [rest for _, *rest in captions], [first for first, *_ in captions])
    ]
    if predictions:
        pairs = match(references, read_predictions(predictions)).pairs
        title = f"predictions in {predictions.name}"
        corpora.insert(0, Corpus(title, [pair.reference.captions for pair in pairs], [pair.caption for pair in pairs]))
    return corpora


def jar_tokens(captions: Sequence[str], jar: Path) -> list[list[str]]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "captions.txt")
        file.write_text("\n".join(caption.replace("\n", " ") for caption in captions), encoding="utf-8", newline="\n")
        command = [str(find_java()), "-Dfile.encoding=UTF-8", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
        run = subprocess.run([*command, "-preserveLines", "-lowerCase", str(file)], capture_output=True, check=True)
    lines = run.stdout.decode().replace("\r\n", "\n").split("\n")[: len(captions)]
    return [[token for token in line.rstrip().split(" ") if token and token not in PUNCTUATIONS] for line in lines]


def difference(corpus: Corpus) -> float:
    scores = score(corpus.references, corpus.hypotheses, java=False, samples=0)
    expected = toolkit([list(captions) for captions in corpus.references], list(corpus.hypotheses))
    return max(abs(value - (scores.metrics[name].value or 0.0)) for name, value in expected.items())


if __name__ == "__main__":
    main()
