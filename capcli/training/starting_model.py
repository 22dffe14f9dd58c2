"""What a run takes over from the model that it starts from."""

from __future__ import annotations

from dataclasses import replace

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.model.decoders.registry import decoder_config
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe
from capcli.training.recipe_reader import check_recipe


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
