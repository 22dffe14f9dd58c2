"""Self-critical sequence training on CIDEr-D (Rennie et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from capcli.model.network import CaptioningModel
from capcli.training.objectives.contract import Batch
from capcli.training.objectives.policy import PolicyGradient
from capcli.training.objectives.reward import CiderReward
from capcli.training.recipe import Recipe, StageRecipe


class SelfCritical(PolicyGradient):
    """Raises the CIDEr-D of sampled captions over that of the other samples of the same picture."""

    least_captions = 2

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._cider = CiderReward(references)

    def rewards(self, batch: Batch, words: Sequence[Sequence[int]]) -> Tensor:
        return self._cider(batch.pictures, words)
