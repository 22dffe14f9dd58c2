"""From a recipe's file and data folders to a model's file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import torch

from capcli.engines.choice import prepare_graphs
from capcli.errors import CapcliError, UsageError
from capcli.library.references import read_training_data
from capcli.model.device import out_of_memory
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.header import is_text
from capcli.modelfile.shipped import find_model
from capcli.modelfile.target import WORDS, check_model_target
from capcli.options import near_names
from capcli.pictures.find import find_pictures
from capcli.training.calibrate import calibrate
from capcli.training.corpus import Corpus
from capcli.training.improvement import Gain, measure_gain
from capcli.training.loop import Trainer
from capcli.training.processes import Processes
from capcli.training.recipe import Recipe
from capcli.training.recipe_check import changes_captions
from capcli.training.recipe_reader import read_recipe
from capcli.training.run_folder import BEST_FILE, STATE_FILE, lock_run_folder

FINE_TUNE = "fine-tune"
"""The recipe for a model to go on from where none is named."""


@dataclass(frozen=True)
class Trained:
    """What a run gave.

    Attributes:
        file: the model.
        gains: where the run went on from a captioning model and changed what it says, how much better the new one is,
            by data set; on pictures that neither trained nor chose, or on the dev split, which chose, of data that has
            one, unless every stage keeps its last weights. Only the first of several processes has them.
        chosen: names of the data sets whose gain is one on the dev split.
        calibrated: whether its confidence is fitted to what it says of held-out pictures, or stayed as it was with what
            the model says; of a model that sees.
    """

    file: Path
    gains: dict[str, Gain]
    chosen: frozenset[str]
    calibrated: bool


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
    near = near_names(recipe, shipped, len(shipped))
    listed = f"near it: {', '.join(near)}" if near else f"shipped: {', '.join(shipped)}"
    raise UsageError(f"{recipe}: no such recipe file, and no shipped recipe of that name; {listed}")


def train_model(
    recipe: str | Path | None,
    data: Sequence[str | Path],
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    run: str | Path | None = None,
    encoder_weights: str | None = None,
    start: str | None = None,
    unlabelled: Sequence[str | Path] = (),
    cache: str | Path | None = None,
    device: str = "auto",
    processes: Processes = Processes(),
) -> Trained:
    """Trains a model; a stopped run in the same folder goes on where it was.

    Args:
        recipe: TOML file, or the name of a recipe that ships; None for `fine-tune`, which needs `start`.
        data: data sets; the dev split of the first chooses the weights and calibrates the confidence. To a language
            model they are sentences, and text files are among them.
        output: model file to write, by default NAME.safetensors.
        overwrite: replace it where it exists.
        run: folder of checkpoints and log, by default runs/ and the name of the model file.
        encoder_weights: takes the place of the recipe's `[encoder] weights`; beside `start`, what an `anchor` compares
            with, or what `restore` mixes in.
        start: model to go on from, name or file.
        unlabelled: folders of pictures without captions, with all below them, for the recipe's autoencoder stages.
        cache: folder of cached regions.
        device: auto, cpu, cuda, cuda:N or mps.
        processes: those that train together, all of which call this; see `joined`.

    Raises:
        CapcliError: for anything wrong with recipe, data, device or disk.
    """
    if recipe is None and start is None:
        raise UsageError(f"name a RECIPE ({', '.join(shipped_recipes())}), or a model to fine-tune with --from")
    begin = Checkpoint.load(find_model(start)) if start else None
    chosen = read_recipe(find_recipe(FINE_TUNE if recipe is None else recipe), begin)
    target = Path(output or f"{chosen.name}.safetensors")
    check_model_target(target, overwrite=overwrite)
    folder = Path(run or Path("runs") / target.stem)
    if target.name in (STATE_FILE, BEST_FILE) and target.parent.resolve() == folder.resolve():
        raise UsageError(f"-o {target} is a file that the run in {folder} writes itself; choose another name")
    for path in (target, folder):
        if not is_text(path):
            raise UsageError(f"{path}: is no UTF-8, and safetensors opens nothing else; choose another name")
    if start is not None and encoder_weights is not None and not any(s.anchor or s.restore for s in chosen.stage):
        raise UsageError(
            "--from brings an encoder of its own: leave --encoder-weights out, or give a stage an anchor, which holds "
            "the encoder to these weights, or restore, which mixes them in"
        )
    if unlabelled and all(stage.objective != "autoencoder" for stage in chosen.stage):
        raise UsageError(
            f'--unlabelled is for stages with objective = "autoencoder", and the recipe {chosen.name} has none'
        )
    # Each by itself, so that none may turn out empty unnoticed.
    pictures = [picture for folder in unlabelled for picture in find_pictures([folder], recursive=True).pictures]
    place = processes.device(device)
    sees = chosen.encoder.sees
    choosing = any(stage.keep == "best" for stage in chosen.stage)
    datasets = [read_training_data(folder, missing_ok=not sees) for folder in data]
    if sees:
        corpus = Corpus.build(
            datasets, chosen.data, compare=begin is not None and choosing, unlabelled=pictures,
            with_sentences=any(stage.objective == "language" for stage in chosen.stage),
        )  # fmt: skip
    else:
        corpus = Corpus.of_sentences(datasets, chosen.data)
    if recipe is None and begin is not None:
        # The recipe is for models of any encoder, some of which have few blocks.
        blocks = len(begin.model.encoder.blocks)
        stages = tuple(replace(stage, train_from=min(stage.train_from, blocks - 1)) for stage in chosen.stage)
        chosen = replace(chosen, stage=stages)
    best = train_on(
        corpus, chosen, folder, place, encoder_weights=encoder_weights, start=copy.deepcopy(begin),
        cache=Path(cache) if cache else None, processes=processes,
    )  # fmt: skip
    if processes.first:
        # What came to be there meanwhile stays too; the run's folder gives the model to the next command at once.
        check_model_target(target, overwrite=overwrite)
        # What the model expects of a picture stays where it sees and speaks as before; other words are not its own.
        words = None if start is None or changes_captions(chosen) else ExpectedWords.of_model(find_model(start))
        target.with_suffix(WORDS).unlink(missing_ok=True)
        best.save(target)
        if words is not None:
            words.save(target)
        prepare_graphs(target, best)
    calibrated = best.calibration is not None or not sees or not changes_captions(chosen)
    if begin is None or not sees or not processes.first or not changes_captions(chosen):
        return Trained(target, {}, frozenset(), calibrated)
    measured = corpus.dev | corpus.compared
    gains = {name: measure_gain(begin, best, items, place) for name, items in measured.items()}
    return Trained(target, gains, frozenset(measured.keys() - corpus.compared.keys() if choosing else ()), calibrated)


def train_on(
    corpus: Corpus,
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    *,
    encoder_weights: str | None = None,
    start: Checkpoint | None = None,
    cache: Path | None = None,
    processes: Processes = Processes(),
) -> Checkpoint:
    """The best weights of a run; see `Trainer`.

    In the first process those of a model that sees are calibrated on the first dev pictures and all compared ones; or
    as the model was that they say the same as.

    Raises:
        UsageError: as `Trainer` does, and while another run is at work in the folder.
        CapcliError: as `Trainer.run` does, and if memory does not suffice.
    """
    try:
        with lock_run_folder(folder) if processes.first else nullcontext():
            best = Trainer(
                recipe, corpus, folder, device,
                encoder_weights=encoder_weights, start=start, cache=cache, processes=processes,
            ).run()  # fmt: skip
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise CapcliError(
            "not enough memory to train; lower batch_size or captions in the recipe and train in another --run folder, "
            "or close other programs and go on in this one"
        ) from None
    if not processes.first or not recipe.encoder.sees:
        return best
    if start is not None and not changes_captions(recipe):
        return replace(best, calibration=start.calibration)
    return replace(best, calibration=calibrate(best, corpus.fitting, device))
