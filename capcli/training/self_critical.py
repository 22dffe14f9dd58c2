"""Self-critical sequence training on CIDEr-D (Rennie et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.metrics.cider import CiderD
from capcli.model.captioning import CaptioningModel
from capcli.model.vocabulary import END
from capcli.training.objective import Batch
from capcli.training.policy import PolicyGradient
from capcli.training.recipe import Recipe, StageRecipe


class SelfCritical(PolicyGradient):
    """Raises the CIDEr-D of sampled captions over that of the other samples of the same picture.

    The end counts as a word of references and samples, so that a sentence broken off is not free.
    """

    least_captions = 2

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._reward = CiderD([[[*caption, END] for caption in captions] for captions in references])

    def rewards(self, batch: Batch, words: Sequence[Sequence[int]]) -> Tensor:
        count = len(words) // len(batch.pictures)
        owners = [picture for picture in batch.pictures for _ in range(count)]
        return torch.from_numpy(self._reward.rewards(owners, words)).float().view(-1, count)
