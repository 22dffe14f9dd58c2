"""What the parts of a recipe must agree in: with each other, and with the model that training goes on from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capcli.decoding.options import OF_LANGUAGE_MODELS, DecodingOptions
from capcli.errors import UsageError
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder, decoder_config
from capcli.model.encoder import check_name
from capcli.model.matcher import build_matcher
from capcli.model.shapes import shapes_only
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.objectives.cross_entropy import TeacherForcingStage
from capcli.training.objectives.registry import objectives
from capcli.training.recipe import Recipe, StageRecipe


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


def fit_recipe(recipe: Recipe, start: Checkpoint | None) -> Recipe:
    """The recipe with what the model to start from decides; without a matcher where it would be an outdated one.

    Raises:
        UsageError: where parts of the recipe contradict each other, a stage lacks what it trains, or the recipe a stage
            for what it adds; where it asks for an encoder or a decoder that the model has not.
    """
    if not recipe.stage:
        raise UsageError("a recipe needs at least one [[stage]]")
    _check_matcher_is_trained(recipe)
    if start is not None:
        recipe = _adapt_recipe(recipe, start)
    _check_stages(recipe, _check_network(recipe))
    parts = trained_parts(recipe)
    if start is None and "decoder" not in parts:
        raise UsageError(f"no stage of {recipe.name} trains a decoder: name a model that has learnt to speak by --from")
    if recipe.matcher is None and ("matcher" in parts or recipe.decoding.rerank):
        wanted = "contrastive training" if "matcher" in parts else "[decoding] rerank"
        raise UsageError(f"{wanted} needs a matcher: a [matcher] table in the recipe, or --from a model that has one")
    return recipe


def _check_matcher_is_trained(recipe: Recipe) -> None:
    """Raises UsageError where the recipe asks for a matcher that would know nothing, or the encoder as it was."""
    if recipe.matcher is None:
        return
    if "matcher" not in trained_parts(recipe):
        raise UsageError("no stage trains the [matcher]: add a [[stage]] with objective = 'contrastive', or drop it")
    if outdates_matcher(recipe):
        raise UsageError("the encoder is trained after the [matcher] that looks through it: put 'contrastive' last")


def _adapt_recipe(recipe: Recipe, start: Checkpoint) -> Recipe:
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
    return replace(recipe, data=data, encoder=encoder, decoder=config.decoder, matcher=matcher, decoding=decoding)


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


def _check_network(recipe: Recipe) -> Decoder[Any]:
    """Its decoder; raises UsageError where the network cannot be built, or not say what the recipe wants."""
    longest = max(recipe.data.max_length, recipe.decoding.max_length)
    _, config = decoder_config(recipe.decoder)
    if longest > config.max_length:
        raise UsageError(f"a decoder of max_length {config.max_length} cannot say {longest} words")
    check_name(recipe.encoder.name)
    for key in OF_LANGUAGE_MODELS:
        if getattr(recipe.decoding, key):
            raise UsageError(f"[decoding] {key} is for a language model, and training has none; leave it out")
    if recipe.decoding.word_weight:
        raise UsageError("[decoding] word_weight is for models with a .words file, and training has none; leave it out")
    with shapes_only():
        decoder = build_decoder(recipe.decoder, 1, (1, 1), 1)
        if recipe.matcher is not None:
            build_matcher(recipe.matcher, 1, 1)
    return decoder


def _check_stages(recipe: Recipe, decoder: Decoder[Any]) -> None:
    """Raises UsageError where a stage does not fit the recipe that it is of."""
    if recipe.encoder.sees and all(stage.objective == "language" for stage in recipe.stage):
        raise UsageError(
            "objective 'language' alone makes a language model: set [encoder] name = 'none', or add a [[stage]] that "
            f"trains {recipe.encoder.name} or the decoder on pictures"
        )
    region_layers = decoder_config(recipe.decoder)[1].region_layers
    for number, stage in enumerate(recipe.stage, 1):
        try:
            _check_stage(stage, recipe, region_layers, decoder)
        except UsageError as error:
            raise UsageError(f"stage {number}: {error}") from None


def _check_stage(stage: StageRecipe, recipe: Recipe, region_layers: int, decoder: Decoder[Any]) -> None:
    """Raises UsageError where a stage does not fit the recipe that it is of."""
    name = recipe.decoder["name"]
    if stage.objective == "autoencoder" and not region_layers:
        raise UsageError(
            f"an autoencoder trains the region encoder, and the decoder {name} has region_layers = 0; set it to at "
            "least 1"
        )
    if not recipe.encoder.sees and stage.objective != "language":
        raise UsageError(
            f"a language model ([encoder] name = 'none') is trained by objective 'language', not {stage.objective!r}"
        )
    if not recipe.encoder.sees and stage.features != "cached":
        raise UsageError("a language model sees no pictures; leave features out")
    if isinstance(stage, TeacherForcingStage) and stage.doubly_stochastic and decoder.heads == (0, 0):
        raise UsageError(
            f"doubly_stochastic is a penalty on attention, and the decoder {name} has none; leave it out, or take "
            "another decoder, such as lstm"
        )
