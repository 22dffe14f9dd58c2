"""The comparison table: every recipe trained under its budget, scored on Flickr8k's test pictures.

usage: python benchmarks/table.py train DATASET [--more DATASET ...] [--judge DATASET ...]
                                  [--recipes NAME,...] [--seeds 1,2,3] [--epochs N] [--encoder-weights NAME=FILE ...]
                                  [--runs FOLDER] [--cache FOLDER] [--results FILE]
       python benchmarks/table.py speed [--runs FOLDER] [--results FILE]
       python benchmarks/table.py write [--results FILE]

`train` runs each recipe once for each seed, by the loop of `capcli train`; a stopped run goes on, a finished one is not
run again. The dev pictures choose the epoch, and in the first seed's run the beam (1, 3 or 5) of all seeds of a
recipe; then the test pictures are captioned once, and scored as `capcli eval` scores. A row for each run, learning
curve included, is appended to FILE (docs/benchmarks/table.jsonl); `base` is not trained but taken as it ships. `speed`
times the models of each recipe's first seed in turns. `write` puts what FILE holds into docs/benchmarks/recipes.md,
docs/benchmarks/recipes.svg and docs/models.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from machine import describe

if TYPE_CHECKING:
    from capcli.datasets import Item
    from capcli.model.network import CaptioningModel
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.training.features import FeatureCache

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
RESULTS = DOCS / "benchmarks" / "table.jsonl"
BEAMS = (1, 3, 5)
FIGURES = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "distinct-1", "distinct-2", "vocabulary", "length")

GAINED = ("CIDEr-D", "distinct-2")

ALL_FIGURES = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "distinct-2")
MAIN_FIGURES = ("BLEU-4", "METEOR", "CIDEr-D", "distinct-2")
PICTURES = 64

BASE = "base"
ARCHITECTURES = (
    *("show-and-tell", "two-layer-lstm", "merge-concat", "merge-add", "soft-attention", "gru-attention"),
    *("dot-attention", "multi-head-attention", "adaptive-attention", "transformer", "autoencoder", BASE),
)
OBJECTIVES = ("cross-entropy", "scheduled-sampling", "self-critical", "adversarial")
"""Recipes that go on from the model that ships."""

CURVES = {
    "Pooled picture": ("show-and-tell", "two-layer-lstm", "merge-concat", "merge-add"),
    "LSTM with attention": ("soft-attention", "dot-attention", "multi-head-attention", "adaptive-attention"),
    "Others": ("gru-attention", "transformer", "autoencoder"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("what", choices=("train", "speed", "write"))
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--more", action="append", type=Path, default=[], metavar="DATASET")
    parser.add_argument("--judge", action="append", type=Path, default=[], metavar="DATASET")
    parser.add_argument("--recipes", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="of the last stage, in place of the recipe's")
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
            for name in options.recipes or ARCHITECTURES + OBJECTIVES:
                if name == BASE and seed != 1:
                    continue
                run(
                    name, seed, options.epochs, options.dataset, options.more, options.judge, weights,
                    options.runs, options.cache, options.results,
                )  # fmt: skip
    elif options.what == "speed":
        speed(options.runs, options.results)
    else:
        write(options.results)


def run(
    name: str,
    seed: int,
    epochs: int | None,
    dataset: Path,
    more: Sequence[Path],
    judge: Sequence[Path],
    weights: dict[str, str],
    runs: Path,
    cache: Path,
    results: Path,
) -> None:
    """Trains a recipe with a seed, scores the model, and appends the row."""
    from capcli.datasets import read_dataset

    others = {data.name: data for data in map(read_dataset, more)}
    judges = {data.name: data.split("dev") for data in map(read_dataset, judge)}
    on, by = list(others), list(judges)
    rows = [row for row in read_rows(results) if (row.get("more", []), list(row.get("judged", {}))) == (on, by)]
    if any((row.get("recipe"), row.get("seed")) == (name, seed) for row in rows):
        print(f"{name}, seed {seed}: is in {results}", flush=True)
        return

    import torch

    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model
    from capcli.training.command import find_recipe
    from capcli.training.corpus import Corpus
    from capcli.training.loop import Trainer
    from capcli.training.recipe_reader import read_recipe
    from capcli.training.run_folder import lock_run_folder
    from capcli.version import __version__

    start = Checkpoint.load(find_model(BASE)) if name in (BASE, *OBJECTIVES) else None
    recipe = replace(read_recipe(find_recipe(name), start), seed=seed)
    if epochs is not None:
        *before, last = recipe.stage
        recipe = replace(recipe, stage=(*before, replace(last, epochs=epochs)))
    data = read_dataset(dataset)
    corpus = Corpus.build([data, *others.values()], recipe.data)
    stem = f"{name}-{seed}-more" if more else f"{name}-{seed}"
    folder = runs / stem
    core_minutes = None
    if name == BASE:
        assert start is not None
        checkpoint = start
    else:
        with lock_run_folder(folder):
            # Of a run that goes on nobody knows what it took before.
            anew = not (folder / "state.safetensors").exists()
            trainer = Trainer(
                recipe, corpus, folder, torch.device("cpu"),
                encoder_weights=weights.get(recipe.encoder.name), start=start, cache=cache,
            )  # fmt: skip
            # The regions are there for all recipes of an encoder, and none pays for them.
            trainer.model.encoder.eval()
            cache_regions(trainer.model, corpus.pictures, cache)
            begun = time.process_time()
            checkpoint = trainer.run()
            core_minutes = (time.process_time() - begun) / 60 if anew else None
    dev, test = data.split("dev"), data.split("test")
    beams = [row["beam"] for row in rows if row.get("recipe") == name] or list(BEAMS)
    chosen = {beam: dev_score(checkpoint, dev, beam, cache) for beam in beams}
    beam = max(chosen, key=lambda beam: chosen[beam])
    hypotheses = captions(checkpoint, test, beam, cache)
    judged = {place: dev_score(checkpoint, items, beam, cache) for place, items in judges.items()}
    row = {
        "recipe": name, **({"capcli": __version__} if name == BASE else {}),
        "seed": seed, **({"more": on} if on else {}),
        "beam": beam, "dev": chosen, "test": scores(test, hypotheses), **({"judged": judged} if judged else {}),
        **({"gain": gain(test, hypotheses, cache)} if name in OBJECTIVES else {}),
        "core_minutes": core_minutes, "threads": torch.get_num_threads(),
        "epochs": [stage.epochs for stage in recipe.stage],
        "parameters": parameters(checkpoint), "curve": curve(folder / "log.csv"),
        "machine": describe(),
    }  # fmt: skip
    runs.mkdir(parents=True, exist_ok=True)
    checkpoint.save(runs / f"{stem}.safetensors")
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{name}, seed {seed}: beam {beam}, {json.dumps(row['test'])}", flush=True)


def read_rows(results: Path) -> list[dict[str, Any]]:
    """Rows of finished runs."""
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def cache_regions(model: CaptioningModel, pictures: Sequence[Path], folder: Path) -> FeatureCache:
    """The regions of pictures, which all models of an encoder share."""
    from capcli.model.encoder import Encoder
    from capcli.training.features import FeatureCache

    assert isinstance(model.encoder, Encoder), "none of the recipes makes a language model"
    return FeatureCache(model.encoder, pictures, folder)


def captions(checkpoint: Checkpoint, items: Sequence[Item], beam: int, cache: Path) -> list[str]:
    """A caption of each picture."""
    import torch

    from capcli.decoding.decode import decode

    regions = cache_regions(checkpoint.model, [item.image for item in items], cache)
    options = replace(checkpoint.options, beam_size=beam)
    texts = []
    with torch.inference_mode():
        for start in range(0, len(items), 32):
            batch = regions.rows([item.image for item in items[start : start + 32]])
            found = decode(checkpoint.model.decoder, batch, options)
            texts += [" ".join(checkpoint.model.vocabulary.decode(best[0].tokens)) for best in found]
    return texts


def dev_score(checkpoint: Checkpoint, items: Sequence[Item], beam: int, cache: Path) -> float:
    """CIDEr-D on held-out pictures, as training judges by it."""
    from capcli.training.evaluate import evaluate

    regions = cache_regions(checkpoint.model, [item.image for item in items], cache)
    return evaluate(checkpoint.model, items, replace(checkpoint.options, beam_size=beam), regions.rows)


def scores(items: Sequence[Item], hypotheses: Sequence[str]) -> dict[str, float | None]:
    """FIGURES of the COCO toolkit, and of variety."""
    from capcli.evaluation.scores import score

    found = score([item.captions for item in items], hypotheses, samples=0)
    return {name: found.metrics[name].value for name in FIGURES}


def gain(items: Sequence[Item], hypotheses: Sequence[str], cache: Path) -> dict[str, list[float | None]]:
    """By how much GAINED of captions are above those of `base` as it ships, and the paired 95 % interval of that."""
    from capcli.evaluation.scores import compare
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.shipped import find_model

    base = Checkpoint.load(find_model(BASE))
    before = captions(base, items, base.options.beam_size, cache)
    found = compare([item.captions for item in items], before, hypotheses, java=False).metrics
    return {name: [found[name].value, found[name].low, found[name].high] for name in GAINED}


def parameters(checkpoint: Checkpoint) -> dict[str, int]:
    """Numbers in the encoder and in the decoder."""
    parts = {"encoder": checkpoint.model.encoder, "decoder": checkpoint.model.decoder}
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def curve(log: Path) -> list[list[float]]:
    """Stage, epoch (from 1) and dev score after each epoch; nothing of a run that there was not."""
    if not log.exists():
        return []
    with log.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dev"]]
    return [[int(row["stage"]), int(row["epoch"]) + 1, float(row["score"])] for row in rows]


def speed(runs: Path, results: Path) -> None:
    """Times the models of the first seeds in turns, and appends a row of images per second by recipe."""
    from capcli.captioner import Captioner
    from capcli.model.options import BATCH
    from capcli.speed.in_memory import measure
    from capcli.speed.made_pictures import made_pictures

    rows = [row for row in read_rows(results) if row.get("seed") == 1]
    captioners = [Captioner.of_file(runs / f"{row['recipe']}-1.safetensors", device="cpu") for row in rows]
    pictures = made_pictures(PICTURES)
    prepared = [np.stack([captioner.prepare(picture) for picture in pictures]) for captioner in captioners]
    for captioner, row in zip(captioners, rows, strict=True):
        captioner.options = replace(captioner.options, beam_size=row["beam"])
    found = measure(captioners, prepared, BATCH, rounds=3)
    rates = {row["recipe"]: round(found.rate(place), 1) for place, row in enumerate(rows)}
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"images_per_second": rates, "machine": describe()}) + "\n")
    print(json.dumps(rates))


def write(results: Path) -> None:
    """Puts tables and curves into the documents."""
    rows = read_rows(results)
    runs = [row for row in rows if "recipe" in row and "judged" not in row]
    rates = {name: rate for row in rows for name, rate in row.get("images_per_second", {}).items()}
    page = DOCS / "benchmarks" / "recipes.md"
    place(page, "architectures", table(runs, ARCHITECTURES, rates, ALL_FIGURES))
    place(page, "objectives", added(runs))
    if judged := [row for row in rows if "judged" in row]:
        place(page, "data", judged_elsewhere(judged))
    place(DOCS / "models.md", "recipes", table(runs, ARCHITECTURES, rates, MAIN_FIGURES))
    page.with_suffix(".svg").write_bytes(drawn(runs))


def table(runs: Sequence[dict[str, Any]], names: Sequence[str], rates: dict[str, float], figures: Sequence[str]) -> str:
    """A Markdown table: a line for each recipe that has run, the mean over its seeds and half their range."""
    head = ["recipe", "seeds", "beam", *figures, "decoder", "images/s", "core minutes"]
    lines = [head, ["---"] * len(head)]
    for name in names:
        recipe_runs = [run for run in runs if run["recipe"] == name]
        if not recipe_runs:
            continue
        parts = recipe_runs[0]["parameters"]
        lines.append([
            title(recipe_runs[0]), str(len(recipe_runs)), str(recipe_runs[0]["beam"]),
            *(spread([run["test"][figure] for run in recipe_runs]) for figure in figures),
            f"{parts['decoder'] / 1e6:.1f} M",
            f"{rates[name]:.1f}" if name in rates else "",
            taken(recipe_runs),
        ])  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def title(run: dict[str, Any]) -> str:
    """The recipe of a run; with `base`, which each version may ship anew, also the version."""
    return f"`{run['recipe']}`" + (f" of capcli {run['capcli']}" if "capcli" in run else "")


def judged_elsewhere(runs: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of what more data brings: a line for each run, with CIDEr-D on the dev splits of others."""
    others = list(dict.fromkeys(name for run in runs for name in run["judged"]))
    head = ["recipe", "trained on", "beam", *MAIN_FIGURES, *(f"`{name}` dev, CIDEr-D" for name in others)]
    lines = [[*head, "core minutes"], ["---"] * (len(head) + 1)]
    lines += [
        [
            title(run),
            "" if run["recipe"] == BASE else "all" if run.get("more") else "Flickr8k",
            str(run["beam"]),
            *(f"{run['test'][figure]:.3f}" for figure in MAIN_FIGURES),
            *(f"{run['judged'][name]:.3f}" for name in others),
            taken([run]),
        ]
        for run in sorted(runs, key=lambda run: (run["recipe"], len(run.get("more", []))))
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def taken(runs: Sequence[dict[str, Any]]) -> str:
    """Minutes of one core that a run took: their mean, or "at most" for older rows, which hold those on the wall."""
    counted = [run["core_minutes"] for run in runs if run.get("core_minutes") is not None]
    if counted:
        return f"{statistics.mean(counted):.0f}"
    wall = [run["minutes"] for run in runs if run.get("minutes") is not None and run["threads"] == 1]
    return f"≤ {min(wall):.0f}" if wall else ""


def added(runs: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of what each objective adds to `base`: on dev step by step, on test with a paired interval."""
    head = ["recipe", "seeds", "beam", *MAIN_FIGURES, *(f"{name} minus base's (95 %)" for name in GAINED)]
    lines = [[*head, "dev CIDEr-D before, and after each epoch"], ["---"] * (len(head) + 1)]
    for name in (BASE, *OBJECTIVES):
        recipe_runs = [run for run in runs if run["recipe"] == name]
        if not recipe_runs:
            continue
        first = recipe_runs[0]
        gains = [first["gain"][figure] for figure in GAINED] if "gain" in first else []
        lines.append([
            title(first), str(len(recipe_runs)), str(first["beam"]),
            *(spread([run["test"][figure] for run in recipe_runs]) for figure in MAIN_FIGURES),
            *(f"{value:+.3f} ({low:.3f} to {high:.3f})" for value, low, high in gains),
            *[""] * (len(GAINED) - len(gains)),
            ", ".join(f"{score:.3f}" for _, _, score in first["curve"]),
        ])  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(values: Sequence[float]) -> str:
    """Their mean, and half the range of several."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.3f}"


def drawn(runs: Sequence[dict[str, Any]]) -> bytes:
    """Dev CIDEr-D after each epoch of the first seeds' last stages."""
    from capcli.evaluation.plot import beside, lines

    plots = []
    for title, names in CURVES.items():
        series = {}
        for run in runs:
            if run["recipe"] in names and run["seed"] == 1:
                last = run["curve"][-1][0]
                series[run["recipe"]] = [0.0, *(score for stage, _, score in run["curve"] if stage == last)]
        if series:
            epochs = range(max(map(len, series.values())))
            ends = "; ".join(f"{name} {values[-1]:.3f}" for name, values in series.items())
            plots.append((title, lines(epochs, series, ("epoch", "CIDEr-D on dev"), f"At the end: {ends}")))
    return beside(plots, legend_rows=2)


def place(document: Path, name: str, text: str) -> None:
    """Puts text between the document's `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{document}: has no {begin.strip()} with an end")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
