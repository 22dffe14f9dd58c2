"""The model that a run begins with, and what the recipe takes over from one that is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.model.decoders.registry import decoder_config
from capcli.model.encoder import EncoderConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.fingerprint import fingerprint
from capcli.modelfile.pruning import zeros
from capcli.training.corpus import Corpus
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe
from capcli.training.recipe_reader import check_recipe
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
            recipe: as `adapt_recipe` gives it.
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


def trained_parts(recipe: Recipe) -> set[str]:
    """The parts of the model that any stage trains; see `Objective.parts`."""
    return {part for stage in recipe.stage for part in objectives()[stage.objective].parts}


def changes_captions(recipe: Recipe) -> bool:
    """Whether any stage changes what the model says; otherwise there is a model that it starts from."""
    return "decoder" in trained_parts(recipe)


def outdates_matcher(recipe: Recipe) -> bool:
    """Whether a stage trains the encoder, and none after it the matcher, which learnt with the encoder as it was."""
    outdated = False
    for stage in recipe.stage:
        parts = objectives()[stage.objective].parts
        outdated = (outdated or ("encoder" in parts and stage.train_from >= 0)) and "matcher" not in parts
    return outdated


def adapt_recipe(recipe: Recipe, start: Checkpoint | None) -> Recipe:
    """The recipe with what the model to start from decides; without a matcher where it would be an outdated one.

    Raises:
        UsageError: where a stage lacks what it trains, or the recipe a stage for what it adds; where it asks for an
            encoder or a decoder that the model has not.
    """
    parts = trained_parts(recipe)
    if recipe.matcher is not None and "matcher" not in parts:
        raise UsageError("no stage trains the [matcher]: add a [[stage]] with objective = 'contrastive', or drop it")
    if recipe.matcher is not None and outdates_matcher(recipe):
        raise UsageError("the encoder is trained after the [matcher] that looks through it: put 'contrastive' last")
    if start is not None:
        config = start.model.config
        encoder = replace(recipe.encoder, name=config.encoder.name, size=config.encoder.size)
        _check_same(recipe, replace(recipe, encoder=encoder, decoder=config.decoder))
        longest = decoder_config(config.decoder)[1].max_length
        data = replace(recipe.data, max_length=min(recipe.data.max_length, longest))
        # What was chosen for the model on its dev pictures holds on, unless the recipe says something else.
        own = recipe.decoding != DecodingOptions() and changes_captions(recipe)
        decoding = recipe.decoding if own else start.options
        matcher = recipe.matcher if config.matcher is None else config.matcher
        if config.matcher is not None and outdates_matcher(recipe):
            matcher, decoding = None, replace(decoding, rerank=0.0)
        recipe = replace(recipe, data=data, encoder=encoder, decoder=config.decoder, matcher=matcher, decoding=decoding)
        check_recipe(recipe)
    elif "decoder" not in parts:
        raise UsageError(f"no stage of {recipe.name} trains a decoder: name a model that has learnt to speak by --from")
    if recipe.matcher is None and ("matcher" in parts or recipe.decoding.rerank):
        wanted = "contrastive training" if "matcher" in parts else "[decoding] rerank"
        raise UsageError(f"{wanted} needs a matcher: a [matcher] table in the recipe, or --from a model that has one")
    return recipe


def _check_same(recipe: Recipe, model: Recipe) -> None:
    """Raises UsageError where the recipe names what it does not get; what is as in `Recipe()` was not asked for."""
    plain = Recipe()
    asked = {
        "encoder": ((r.encoder.name, r.encoder.size) for r in (recipe, model, plain)),
        "decoder": (decoder_config(r.decoder) for r in (recipe, model, plain)),
    }
    for table, (wanted, there, unasked) in asked.items():
        if wanted not in (there, unasked):
            raise UsageError(
                f"{recipe.name} asks for another [{table}] than the model has that --from goes on from; leave --from "
                f"or the recipe's [{table}] out"
            )
