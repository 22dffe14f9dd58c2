"""The comparison table: every recipe trained under its budget, scored on Flickr8k's test pictures.

usage: python benchmarks/table.py train DATASET [--recipes NAME,...] [--seeds 1,2,3] [--encoder-weights NAME=FILE ...]
                                  [--runs FOLDER] [--cache FOLDER] [--results FILE]
       python benchmarks/table.py speed [--runs FOLDER] [--results FILE]
       python benchmarks/table.py write [--results FILE]

`train` runs each recipe once for each seed, by the loop of `capcli train`; a stopped run goes on, a finished one is not
run again. The dev pictures choose the epoch, and in the first seed's run the beam (1, 3 or 5) of all seeds of a recipe;
then the test pictures are captioned once, and scored as `capcli eval` scores. A row for each run, learning curve
included, is appended to FILE (docs/table.jsonl). `speed` times the models of the first seeds in turns. `write` turns FILE
into docs/recipes.md and docs/recipes.svg.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import describe

if TYPE_CHECKING:
    from capcli.datasets import Item
    from capcli.model.checkpoint import Checkpoint
    from capcli.training.features import FeatureCache
    from capcli.training.recipe import Recipe

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "docs" / "table.jsonl"
BEAMS = (1, 3, 5)
FIGURES = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "distinct-1", "distinct-2", "vocabulary", "length")

FROM_BASE = ("scheduled-sampling", "self-critical", "adversarial")
"""Recipes that go on from the model that ships."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("what", choices=("train", "speed", "write"))
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--recipes", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 3])
    parser.add_argument("--encoder-weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--runs", type=Path, default=Path("runs/table"))
    parser.add_argument("--cache", type=Path, default=Path("runs/table/cache"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.what == "train":
        if options.dataset is None:
            parser.error("train needs a DATASET")
        weights = dict(text.partition("=")[::2] for text in options.encoder_weights)
        for seed in options.seeds:
            for name in options.recipes or recipes():
                run(name, seed, options.dataset, weights, options.runs, options.cache, options.results)


def recipes() -> list[str]:
    """Recipes of the table; base ships trained, with a budget of its own."""
    from capcli.training.command import shipped_recipes

    return [name for name in shipped_recipes() if name != "base"]


def run(
    name: str, seed: int, dataset: Path, weights: dict[str, str], runs: Path, cache: Path, results: Path
) -> None:
    """Trains a recipe with a seed, scores the model, and appends the row."""
    rows = read_rows(results)
    if any((row["recipe"], row["seed"]) == (name, seed) for row in rows):
        print(f"{name}, seed {seed}: is in {results}", flush=True)
        return

    import torch

    from capcli.datasets import read_dataset
    from capcli.model.checkpoint import Checkpoint
    from capcli.model.shipped import find_model
    from capcli.training.command import find_recipe
    from capcli.training.corpus import Corpus
    from capcli.training.loop import Trainer
    from capcli.training.recipe import Recipe

    recipe = replace(Recipe.read(find_recipe(name)), seed=seed)
    data = read_dataset(dataset)
    corpus = Corpus.build([data], recipe.data)
    folder = runs / f"{name}-{seed}"
    start = Checkpoint.load(find_model("base")) if name in FROM_BASE else None
    begun, done = time.time(), (folder / "state.safetensors").exists()
    checkpoint = Trainer(
        recipe, corpus, folder, torch.device("cpu"),
        encoder_weights=weights.get(recipe.encoder.name), start=start, cache=cache,
    ).run()  # fmt: skip
    minutes = None if done else (time.time() - begun) / 60
    dev, test = data.split("dev"), data.split("test")
    beams = [row["beam"] for row in rows if row["recipe"] == name] or list(BEAMS)
    chosen = {beam: dev_score(checkpoint, dev, beam, cache) for beam in beams}
    beam = max(chosen, key=lambda beam: chosen[beam])
    row = {
        "recipe": name, "seed": seed, "beam": beam, "dev": chosen, "test": scores(checkpoint, test, beam, cache),
        "minutes": minutes, "threads": torch.get_num_threads(), "epochs": [stage.epochs for stage in recipe.stage],
        "parameters": parameters(checkpoint), "curve": curve(folder / "log.csv"), "machine": describe(),
    }  # fmt: skip
    checkpoint.save(runs / f"{name}-{seed}.safetensors")
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{name}, seed {seed}: beam {beam}, {json.dumps(row['test'])}", flush=True)


def read_rows(results: Path) -> list[dict[str, Any]]:
    """Rows of finished runs."""
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def captions(checkpoint: Checkpoint, items: Sequence[Item], beam: int, cache: Path) -> list[str]:
    """A caption of each picture, its regions cached, for all models of an encoder share them."""
    import torch

    from capcli.decoding.decode import decode
    from capcli.training.features import FeatureCache

    regions = FeatureCache(checkpoint.model.encoder, [item.image for item in items], cache)
    options = replace(checkpoint.options, beam_size=beam)
    said = []
    with torch.inference_mode():
        for start in range(0, len(items), 32):
            batch = regions.regions([item.image for item in items[start : start + 32]])
            found = decode(checkpoint.model.decoder, batch, options)
            said += [" ".join(checkpoint.model.vocabulary.decode(best[0].tokens)) for best in found]
    return said


def dev_score(checkpoint: Checkpoint, items: Sequence[Item], beam: int, cache: Path) -> float:
    """CIDEr-D on held-out pictures."""
    from capcli.metrics import corpus_cider_d, tokenize

    references = [[tokenize(caption) for caption in item.captions] for item in items]
    return corpus_cider_d(references, [caption.split() for caption in captions(checkpoint, items, beam, cache)])


def scores(checkpoint: Checkpoint, items: Sequence[Item], beam: int, cache: Path) -> dict[str, float | None]:
    """FIGURES of the COCO toolkit, and of variety."""
    from capcli.evaluation.scores import score

    said = captions(checkpoint, items, beam, cache)
    found = score([item.captions for item in items], said, samples=0)
    return {name: found.metrics[name].value for name in FIGURES}


def parameters(checkpoint: Checkpoint) -> dict[str, int]:
    """Numbers in the encoder and in the decoder."""
    parts = {"encoder": checkpoint.model.encoder, "decoder": checkpoint.model.decoder}
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def curve(log: Path) -> list[list[float]]:
    """Stage, epoch (from 1) and dev score after each epoch."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dev"]]
    return [[int(row["stage"]), int(row["epoch"]) + 1, float(row["score"])] for row in rows]


if __name__ == "__main__":
    main()
