"""Self-critical sequence training on CIDEr-D (Rennie et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from capcli.model.network import CaptioningModel
from capcli.training.objectives.contract import Batch
from capcli.training.objectives.policy import PolicyGradient, PolicyGradientStage
from capcli.training.objectives.reward import CiderReward
from capcli.training.recipe import Recipe, objective_option


@dataclass(frozen=True, kw_only=True)
class SelfCriticalStage(PolicyGradientStage):
    """Options of a stage of self-critical training."""

    objective: str = objective_option("self-critical")


class SelfCritical(PolicyGradient):
    """Raises the CIDEr-D of sampled captions over that of the other samples of the same picture."""

    settings = SelfCriticalStage
    least_captions = 2

    def __init__(
        self,
        stage: PolicyGradientStage,
        recipe: Recipe,
        model: CaptioningModel,
        references: Sequence[Sequence[Sequence[int]]],
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._cider = CiderReward(references)

    def rewards(self, batch: Batch, words: Sequence[Sequence[int]]) -> Tensor:
        return self._cider(batch.pictures, words)
