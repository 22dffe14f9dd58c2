"""Language modelling: cross-entropy of sentences that nothing is seen with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from capcli.datasets import Item
from capcli.decoding.options import DecodingOptions
from capcli.metrics.tokens import tokenize
from capcli.model.captioning import CaptioningModel
from capcli.model.vocabulary import PAD
from capcli.training.cross_entropy import CrossEntropy
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.words import pad, shift, target

BATCH = 64


class Language(CrossEntropy):
    """Cross-entropy, judged by the perplexity of held-out sentences in the place of captions of held-out pictures."""

    metric = "perplexity"
    lower_is_better = True

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._longest = recipe.data.max_length

    def judge(
        self,
        model: CaptioningModel,
        items: Sequence[Item],
        options: DecodingOptions,
        regions: Callable[[Sequence[Path]], Tensor],
    ) -> float:
        """exp(-mean log p) over the words of all captions, each given those before it.

        The end counts as a word, as does `<unknown>` for each word outside of the vocabulary, so that figures of
        models with other vocabularies do not compare. Of a caption longer than the recipe's `max_length` only so
        many words count.
        """
        captions = [
            target(model.vocabulary.encode(tokenize(caption)), self._longest)
            for item in items
            for caption in item.captions
        ]
        captions.sort(key=len)  # padding costs as much as words
        device, total = next(model.parameters()).device, 0.0
        with torch.inference_mode():
            for start in range(0, len(captions), BATCH):
                targets = pad(captions[start : start + BATCH]).to(device)
                log_probabilities, _ = model.decoder(model.encoder(targets), shift(targets))
                chosen = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
                total += float(chosen[targets != PAD].double().sum())
        return math.exp(min(-total / sum(map(len, captions)), 700.0))
