"""Captions a data set's pictures with the installed command and scores them with the field's metrics.

usage: python benchmarks/accuracy.py DATASET [--split test|dev|train|held-out] [--model NAME|FILE]
                                     [--beam-size N] [--device DEVICE] [--scorer java|python] [-o FOLDER]

DATASET is anything `capcli train --data` reads. The split `held-out` is for data sets without a dev split: the
pictures that the model's recipe kept from training. Writes predictions.jsonl and references.json to FOLDER and
prints one JSON object with the metrics; everything else goes to stderr.

Scorer `java` is the COCO toolkit (pip install pycocoevalcap, and a Java runtime for its tokenizer and METEOR);
`python` is capcli.metrics, which has no METEOR and another tokenizer: its figures differ a little from those in
papers and are not comparable with them. The default is java where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from machine import command, describe

from capcli.datasets import Dataset, Item, read_dataset
from capcli.errors import CapcliError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", choices=("test", "dev", "train", "held-out"), default="test")
    parser.add_argument("--model", default="base")
    parser.add_argument("--beam-size", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scorer", choices=("java", "python"))
    parser.add_argument("-o", "--output", type=Path, default=Path("accuracy"))
    options = parser.parse_args()

    say(f"machine: {describe()}")
    scorer = options.scorer or ("java" if has_java() else "python")
    if scorer == "java" and not has_java():
        raise SystemExit("no COCO toolkit: pip install pycocoevalcap, and put a Java runtime on the PATH")
    try:
        items = pictures(read_dataset(options.dataset), options.split, options.model)
    except CapcliError as error:
        raise SystemExit(str(error)) from None
    names = unique_names(items)
    extra = ["--model", options.model, "--device", options.device]
    extra += ["--beam-size", str(options.beam_size)] if options.beam_size else []

    start = time.perf_counter()
    captions = dict(captioned(items, extra))
    taken = time.perf_counter() - start
    say(f"{len(items)} pictures in {taken:.0f} s, {len(items) / taken:.1f} a second, start-up included")

    options.output.mkdir(parents=True, exist_ok=True)
    predictions = {name: captions[str(item.image)] for name, item in zip(names, items, strict=True)}
    references = {name: list(item.captions) for name, item in zip(names, items, strict=True)}
    with (options.output / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for name, caption in predictions.items():
            file.write(json.dumps({"image": name, "caption": caption}) + "\n")
    (options.output / "references.json").write_text(json.dumps(references), encoding="utf-8")

    scores = coco_scores(references, predictions) if scorer == "java" else own_scores(references, predictions)
    if scorer == "python":
        say("scored by capcli.metrics without Java: not comparable with figures in papers")
    print(json.dumps({"images": len(items)} | {name: round(float(value), 4) for name, value in scores.items()}))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def has_java() -> bool:
    return bool(shutil.which("java") and importlib.util.find_spec("pycocoevalcap"))


def pictures(dataset: Dataset, split: str, model: str) -> Sequence[Item]:
    """The pictures to caption; raises SystemExit if the split is empty."""
    if split != "held-out":
        chosen = dataset.split(split)
    else:
        from capcli.model.checkpoint import Checkpoint
        from capcli.model.shipped import find_model
        from capcli.training.corpus import Corpus
        from capcli.training.recipe import DataRecipe

        recipe = DataRecipe(**Checkpoint.load(find_model(model)).recipe.get("data", {}))
        chosen = next(iter(Corpus.build([dataset], recipe).dev.values()))
    if not chosen:
        raise SystemExit(f"the data set has no pictures in split {split}; --split held-out is for such data sets")
    return chosen


def unique_names(items: Sequence[Item]) -> list[str]:
    """File names, on which other programs match pictures; with their folders where two would be equal."""
    names = [item.image.name for item in items]
    return names if len(set(names)) == len(names) else [item.image.as_posix() for item in items]


def captioned(items: Sequence[Item], extra: list[str]) -> Iterator[tuple[str, str]]:
    """Path and caption of every picture; raises SystemExit if the command fails on any."""
    arguments = [command(), "caption", "--format=jsonl", "--from-file=-", "--null", *extra]
    paths = b"\0".join(os.fsencode(item.image) for item in items)
    done = subprocess.run(arguments, input=paths, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"capcli caption ended with exit code {done.returncode}; nothing was scored")
    for line in done.stdout.splitlines():
        row = json.loads(line)
        yield row["path"], row["caption"]


def coco_scores(references: dict[str, list[str]], predictions: dict[str, str]) -> dict[str, float]:
    """The COCO toolkit's figures: PTB tokenizer, BLEU-1 to 4, ROUGE-L, CIDEr-D, METEOR."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    # The toolkit prints as it goes, and stdout is for the one JSON object.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = PTBTokenizer().tokenize({k: [{"caption": c} for c in v] for k, v in references.items()})
        said = PTBTokenizer().tokenize({name: [{"caption": c}] for name, c in predictions.items()})
        bleu = Bleu(4).compute_score(truth, said, verbose=0)[0]
        scores = {f"BLEU-{order}": value for order, value in enumerate(bleu, 1)}
        for name, metric in (("ROUGE-L", Rouge()), ("CIDEr-D", Cider()), ("METEOR", Meteor())):
            scores[name] = metric.compute_score(truth, said)[0]
    return scores


def own_scores(references: dict[str, list[str]], predictions: dict[str, str]) -> dict[str, float]:
    """The same metrics without Java, METEOR left out."""
    from capcli.metrics import bleu, corpus_cider_d, rouge_l, tokenize

    truth = [[tokenize(caption) for caption in captions] for captions in references.values()]
    said = [tokenize(predictions[name]) for name in references]
    scores = {f"BLEU-{order}": value for order, value in enumerate(bleu(truth, said), 1)}
    return {**scores, "ROUGE-L": rouge_l(truth, said), "CIDEr-D": corpus_cider_d(truth, said)}


if __name__ == "__main__":
    main()
