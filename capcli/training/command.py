"""From a recipe's file and data folders to a model's file."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from capcli.datasets import read_dataset
from capcli.errors import UsageError
from capcli.model.checkpoint import Checkpoint
from capcli.model.device import choose_device
from capcli.model.encoder import NONE
from capcli.model.shipped import find_model
from capcli.training.calibrate import calibrate
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.recipe import Recipe


def shipped_recipes() -> dict[str, Path]:
    """Files of the recipes that ship by name."""
    folder = Path(str(resources.files("capcli") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def find_recipe(recipe: str | Path) -> Path:
    """The file of a recipe given by name or by path.

    Raises:
        UsageError: where there is none; names of shipped ones, the near ones first, are listed.
    """
    shipped = shipped_recipes()
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    if Path(recipe).exists():
        return Path(recipe)
    near = difflib.get_close_matches(str(recipe), shipped, len(shipped), 0.5)
    listed = f"near it: {', '.join(near)}" if near else f"shipped: {', '.join(shipped)}"
    raise UsageError(f"{recipe}: no such recipe file, and no shipped recipe of that name; {listed}")


def train_model(
    recipe: str | Path,
    data: Sequence[str | Path],
    *,
    output: str | Path | None = None,
    run: str | Path | None = None,
    encoder_weights: str | None = None,
    start: str | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
) -> Path:
    """Trains a model; a stopped run in the same folder goes on where it was.

    Args:
        recipe: TOML file, or the name of a recipe that ships.
        data: data sets; the dev split of the first chooses the weights and calibrates the confidence. To a language
            model they are sentences, and text files are among them.
        output: model file to write, by default NAME.safetensors.
        run: folder of checkpoints and log, by default runs/NAME.
        encoder_weights: takes the place of the recipe's `[encoder] weights`.
        start: model to go on from, name or file.
        cache: folder of cached regions.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The model file.

    Raises:
        CapcliError: for anything wrong with recipe, data, device or disk.
    """
    chosen = Recipe.read(find_recipe(recipe))
    target = Path(output or f"{chosen.name}.safetensors")
    if not target.parent.is_dir() or target.is_dir():
        raise UsageError(f"{target}: no model can be written there; name a file in a folder that exists")
    place = choose_device(device)
    begin = Checkpoint.load(find_model(start)) if start else None
    sees = chosen.encoder.name != NONE
    datasets = [read_dataset(folder, missing_ok=not sees) for folder in data]
    corpus = Corpus.build(datasets, chosen.data) if sees else Corpus.of_sentences(datasets, chosen.data)
    trainer = Trainer(
        chosen, corpus, Path(run or Path("runs") / chosen.name), place,
        encoder_weights=encoder_weights, start=begin, cache=Path(cache) if cache else None,
    )  # fmt: skip
    best = trainer.run()
    if sees:
        best = dataclasses.replace(best, calibration=calibrate(best, next(iter(corpus.dev.values())), place))
    best.save(target)
    return target
