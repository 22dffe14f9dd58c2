"""What a run is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from capcli.decoding.prefix import encode_prefix
from capcli.errors import UsageError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.corpus import Corpus
from capcli.training.processes import Processes
from capcli.training.recipe import Recipe
from capcli.training.recipe_check import trained_parts
from capcli.training.run_folder import STATE_FILE
from capcli.training.starting_model import StartingModel


@dataclass(frozen=True)
class Setup:
    """What a run is given. Training changes the model's weights, and nothing else of it.

    Attributes:
        recipe: what to do.
        corpus: what to train on.
        references: of each training picture its captions' words, without start and end.
        start: the model that it begins with.
        folder: of the run.
        cache: folder of cached regions.
        device: where to compute.
        processes: those that train together.
    """

    recipe: Recipe
    corpus: Corpus
    references: Sequence[Sequence[Sequence[int]]]
    start: StartingModel
    folder: Path
    cache: Path
    device: torch.device
    processes: Processes

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        corpus: Corpus,
        folder: Path,
        device: torch.device,
        *,
        encoder_weights: str | None,
        start: Checkpoint | None,
        cache: Path | None,
        processes: Processes,
    ) -> Setup:
        """Makes the model and checks that the recipe fits it; see `Trainer` for the arguments.

        Raises:
            UsageError: if the model lacks what a stage trains, or the recipe asks for what cannot be.
        """
        if processes.world > 1 and "matcher" in trained_parts(recipe):
            # Each would compare the pictures of its own share alone.
            raise UsageError("contrastive training compares all of a batch and needs one process: leave torchrun out")
        with processes.first_ahead():  # it may have to download weights
            if start is None:
                anew = not (folder / STATE_FILE).exists()
                begin = StartingModel.new(recipe, corpus, encoder_weights, pretrain=anew)
            else:
                begin = StartingModel.of(start, recipe, encoder_weights)
        _check_stages(recipe, begin)
        # Which words there are is known now, and not before.
        words = begin.model.vocabulary
        encode_prefix(recipe.decoding, words)
        references = [[words.encode(caption) for caption in captions] for captions in corpus.captions]
        return cls(recipe, corpus, references, begin, folder, cache or folder / "cache", device, processes)


def _check_stages(recipe: Recipe, start: StartingModel) -> None:
    """Raises UsageError for a stage that wants of the encoder what it has not."""
    encoder = start.model.encoder
    for number, stage in enumerate(recipe.stage, 1):
        if stage.restore and start.pretrained == "none":
            raise UsageError("restore mixes in what the encoder was trained from: give --encoder-weights")
        if stage.train_from >= len(encoder.blocks):
            raise UsageError(
                f"stage {number}: train_from must be below {len(encoder.blocks)}, the number of blocks of "
                f"{encoder.config.name}"
            )
