"""A model made smaller."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from capcli.catalogue.facts import Facts
from capcli.compression.options import CompressOptions, MeasureOptions
from capcli.datasets import read_dataset
from capcli.errors import DatasetError, UsageError
from capcli.model.device import choose_device
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.pruning import prune
from capcli.modelfile.target import WORDS
from capcli.training.command import train_on
from capcli.training.corpus import Corpus
from capcli.training.recipe_reader import read_recipe


def compress_model(label: str, file: Path, options: CompressOptions) -> Checkpoint:
    """The model of a file with fewer weights, or with such of its layers as int8, once it is saved.

    Scores and recipe of the original stay with it: the recipe as its own, the scores under `origin`, as they were not
    measured with these weights. Nor was the confidence of a pruned model fitted to what it says now: it has none.

    Raises:
        ModelError: if the file cannot be used.
        UsageError: if it is int8 already, or pruned as much, or no captioning model.
    """
    facts, checkpoint = Facts.read(label, file), Checkpoint.load(file)
    if not checkpoint.model.config.encoder.sees:
        raise UsageError(f"{label} is a language model, and compress is for captioning models; take one of those")
    if options.int8 and checkpoint.quantized:
        raise UsageError(f"{label} is stored as int8 already")
    if options.prune is not None:
        try:
            prune(checkpoint.model, options.prune)
        except UsageError as error:
            raise UsageError(f"{label}: {error}") from None
    origin = {
        "model": file.stem,
        "sha256": facts.sha256,
        "method": options.method,
        "scores": checkpoint.scores or facts.history.origin.get("scores", {}),
        **({"fine_tuning": facts.history.fine_tuning} if facts.history.fine_tuning else {}),
    }
    return dataclasses.replace(
        checkpoint,
        quantized=checkpoint.quantized or options.int8,
        pruned=checkpoint.pruned or options.prune is not None,
        scores={},
        calibration=checkpoint.calibration if options.prune is None else None,
        origin=origin,
    )


def save_smaller(checkpoint: Checkpoint, source: Path, target: Path) -> None:
    """Writes a smaller model, and beside it the words that the original at `source` expects, if it expects any: the
    regions that tell them are nearly the same.

    Raises:
        ModelError: if those words cannot be used.
        CapcliError: if a file cannot be written.
    """
    words = ExpectedWords.of_model(source)
    # First, as a model without words is whole, and one with another's is not.
    target.with_suffix(WORDS).unlink(missing_ok=True)
    checkpoint.save(target)
    if words is not None:
        # A model that has lost its calibration has lost what the words say of confidence, too.
        confidence = None if checkpoint.calibration is None else words.confidence
        dataclasses.replace(words, confidence=confidence).save(target)


class FineTuning:
    """The training that follows pruning, on the pictures of a data set that neither judge nor test.

    What the model was made with stays: its decoding options, its encoder, its decoder, its vocabulary; and what its own
    training held out of data sets without a dev split is held out again.

    Args:
        file: of the model before it was pruned.
        recipe: TOML file of a recipe.
        measuring: names the data set, and where to compute.
        folder: of the run; a stopped one there goes on.

    Raises:
        UsageError: if recipe, data set or device cannot be used; ModelError if the file cannot.
    """

    def __init__(self, file: Path, recipe: Path, measuring: MeasureOptions, folder: Path) -> None:
        assert measuring.data is not None, "without data there is nothing to train on"
        start = Checkpoint.load(file)
        chosen = read_recipe(recipe, start)
        held_out = max(chosen.data.hold_out, start.held_out)
        self._recipe = dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, hold_out=held_out))
        self._folder, self._device = folder, choose_device(measuring.device)
        dataset = read_dataset(measuring.data)
        self._name = dataset.name
        try:
            self._corpus = Corpus.build([dataset], self._recipe.data)
        except DatasetError as error:
            raise DatasetError(f"{measuring.data}: {error}; --recipe none leaves fine-tuning out") from None

    def __call__(self, checkpoint: Checkpoint) -> Checkpoint:
        """The pruned model trained on, its zeros held, and its confidence calibrated again; never one worse on dev.

        Raises:
            UsageError: if the folder holds another run.
            CapcliError: as `Trainer.run`.
        """
        recipe = dataclasses.replace(self._recipe, decoding=checkpoint.options)
        best = train_on(self._corpus, recipe, self._folder, self._device, start=checkpoint)
        origin = {**checkpoint.origin, "fine_tuning": {"recipe": best.recipe, "data": [self._name]}}
        return dataclasses.replace(
            checkpoint, model=best.model, options=best.options, calibration=best.calibration, origin=origin,
            held_out=best.held_out,
        )  # fmt: skip
