"""Language modelling: cross-entropy of sentences with nothing to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from capcli.datasets import Item
from capcli.decoding.options import DecodingOptions
from capcli.model.network import CaptioningModel
from capcli.training.evaluate import perplexity
from capcli.training.objectives.cross_entropy import CrossEntropy, CrossEntropyStage
from capcli.training.recipe import Recipe, StageRecipe, objective_option


@dataclass(frozen=True, kw_only=True)
class LanguageStage(CrossEntropyStage):
    """Options of a stage that trains a language model, or a captioner's decoder with nothing to see, on sentences."""

    objective: str = objective_option("language")


class Language(CrossEntropy):
    """Cross-entropy, judged by the perplexity of held-out sentences in the place of captions of held-out pictures."""

    settings = LanguageStage
    metric = "perplexity"
    lower_is_better = True

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._longest = recipe.data.max_length
        self._sees = model.config.encoder.sees

    def trains(self, parameter: str) -> bool:
        # Of a captioner nothing that looks at regions: what it would learn from a place that is empty is no use.
        return super().trains(parameter) and not (self._sees and parameter.startswith("decoder.region_"))

    def judge(
        self,
        model: CaptioningModel,
        items: Sequence[Item],
        options: DecodingOptions,
        regions: Callable[[Sequence[Path]], Tensor],
    ) -> float:
        """`perplexity`, captions cut at the recipe's `max_length`."""
        return perplexity(model, items, self._longest, regions)
