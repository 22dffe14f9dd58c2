"""What tells one run from another: its folder serves that run alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from capcli.model.network import ModelConfig
from capcli.training.corpus import Corpus
from capcli.training.recipe import Recipe
from capcli.words.vocabulary import Vocabulary

STAGE = {
    "objective": "cross-entropy", "epochs": 10, "pictures": 0, "features": "cached", "views": 0, "train_from": -1,
    "batch_size": 32, "captions": 2, "learning_rate": 3e-4, "encoder_learning_rate": 5e-5, "anchor": 0.0,
    "final_learning_rate": 0.05, "warmup": 200, "weight_decay": 0.01, "clip": 1.0, "label_smoothing": 0.1,
    "word_dropout": 0.0, "doubly_stochastic": 0.0, "sampling_probability": 0.25, "temperature": 1.0,
    "cross_entropy": 0.0, "cider": 0.0, "discriminator_learning_rate": 3e-4, "discriminator_pretraining": 0.2,
    "masked": 0.5, "average": 0.999, "crop": 0.6, "jitter": 0.3, "keep": "best", "patience": 5,
}  # fmt: skip
"""What a stage of any objective held when the first runs began, in the order of that time. It must stay as it is, or
these runs would not be known again."""

LATER = {"judge_every": 1, "restore": 0.0}
"""Options of stages that came later, with the value that stands for what runs did before."""

LATER_DECODING = {"prompt": "", "word_weight": 0.0}
"""The same of `[decoding]`."""


def run_key(
    recipe: Recipe,
    stage: int,
    config: ModelConfig,
    vocabulary: Vocabulary,
    begun_from: str,
    corpus: Corpus,
    *,
    anchored_to: str | None = None,
) -> str:
    """A hash of all that a run has depended on so far.

    Args:
        recipe: as it is trained.
        stage: number of the present stage, from 0; later ones may be changed or added while the run goes on.
        config: the model's.
        vocabulary: the model's.
        begun_from: the weights that training began from.
        corpus: what is trained on and judged by.
        anchored_to: weights of an encoder that anchors compare with, in place of the model's own.
    """
    chosen = recipe.to_dict()
    chosen["decoding"] = _without(chosen["decoding"], LATER_DECODING)
    chosen["stage"] = [_as_at_first(values) for values in chosen["stage"][: stage + 1]]
    model = [config.to_json(), vocabulary.words, begun_from, *([anchored_to] if anchored_to else [])]
    data: list[object] = [[item.image.name, item.captions] for item in corpus.train]
    data += [path.name for path in corpus.unlabelled]
    data += corpus.sentences
    dev = [[[item.image.name, item.captions] for item in items] for items in corpus.dev.values()]
    return hashlib.sha256(json.dumps([chosen, model, data, dev]).encode()).hexdigest()


def _as_at_first(stage: Mapping[str, object]) -> dict[str, object]:
    """A stage with the options of all objectives, as every stage once had them, and later ones behind them."""
    return {**STAGE, **_without(stage, LATER)}


def _without(values: Mapping[str, object], later: Mapping[str, object]) -> dict[str, object]:
    """The values but for those that stand for what runs did before."""
    return {name: value for name, value in values.items() if later.get(name) != value}
