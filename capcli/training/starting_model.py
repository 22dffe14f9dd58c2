"""The model that a run begins with, and what the recipe takes over from one that is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.fingerprint import fingerprint
from capcli.modelfile.pruning import zeros
from capcli.training.corpus import Corpus
from capcli.training.recipe import Recipe
from capcli.training.seed import seed_of


@dataclass(frozen=True)
class StartingModel:
    """The model that a run begins with, and what is known of it.

    Attributes:
        model: what is trained.
        begun_from: what tells its weights from others in the key of the run.
        pretrained: weights that its encoder was trained from; none where they are not known.
        anchored_to: weights of an encoder that anchors compare with; None for its own.
        held_out: the share of a data set without a dev split that neither it nor what it comes from was trained on.
        scores: figures that it was measured at, by data set and metric.
        zeros: by name where weights are zero and stay so; empty where it is not pruned.
        given: whether it has learnt something already and training goes on from it.
        leaves_matcher: whether it had a matcher that training would outdate.
    """

    model: CaptioningModel
    begun_from: str
    pretrained: str
    anchored_to: str | None
    held_out: float
    scores: Mapping[str, Any]
    zeros: dict[str, Tensor]
    given: bool
    leaves_matcher: bool

    @classmethod
    def new(cls, recipe: Recipe, corpus: Corpus, encoder_weights: str | None, *, pretrain: bool) -> StartingModel:
        """A new model of the recipe's `[encoder]` and `[decoder]`.

        Args:
            recipe: what to build, and its seed.
            corpus: whose words it knows.
            encoder_weights: takes the place of the recipe's.
            pretrain: whether to load them; without need where a saved state replaces them.
        """
        torch.manual_seed(seed_of(recipe.seed, "model"))
        encoder = EncoderConfig.of(recipe.encoder.name, recipe.encoder.size)
        config = ModelConfig(encoder, recipe.decoder, recipe.matcher)
        model = CaptioningModel(config, corpus.vocabulary(recipe.data.min_count))
        source = encoder_weights or recipe.encoder.weights
        if source != "none" and pretrain:
            model.encoder.load_pretrained(source)
        return cls(model, source, source, None, recipe.data.hold_out, {}, {}, given=False, leaves_matcher=False)

    @classmethod
    def of(cls, start: Checkpoint, recipe: Recipe, encoder_weights: str | None) -> StartingModel:
        """A model that training goes on from; its matcher is added or left out as the adapted recipe says.

        Args:
            start: the model; it is changed.
            recipe: as it was read for this model.
            encoder_weights: weights of the encoder that anchors compare with, and that `restore` mixes in.
        """
        torch.manual_seed(seed_of(recipe.seed, "model"))
        model, begun_from = start.model, fingerprint(start.model)
        leaves_matcher = model.matcher is not None and recipe.matcher is None
        if recipe.matcher is None:
            model.drop_matcher()
        elif model.matcher is None:
            model.add_matcher(recipe.matcher)
        held_out = min(recipe.data.hold_out, start.held_out)
        return cls(
            model, begun_from, encoder_weights or "none", encoder_weights, held_out, start.scores,
            zeros(model) if start.pruned else {}, given=True, leaves_matcher=leaves_matcher,
        )  # fmt: skip
