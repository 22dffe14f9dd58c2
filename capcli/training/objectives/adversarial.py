"""Adversarial training (Dai et al. 2017): captions that a discriminator takes for a person's become likelier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from capcli.errors import UsageError
from capcli.model.network import CaptioningModel
from capcli.options import option
from capcli.training.evaluation_mode import evaluation_mode
from capcli.training.objectives.contract import Batch
from capcli.training.objectives.discriminator import Discriminator
from capcli.training.objectives.policy import PolicyGradient, PolicyGradientStage
from capcli.training.objectives.reward import CiderReward
from capcli.training.recipe import Recipe, objective_option
from capcli.training.targets import pad


@dataclass(frozen=True, kw_only=True)
class AdversarialStage(PolicyGradientStage):
    """Options of a stage of adversarial training.

    Raises:
        UsageError: for batches of one picture, as captions of other pictures are shown.
    """

    objective: str = objective_option("adversarial")
    cider: float = option(0.0, "Share of CIDEr-D in the reward; the rest is the discriminator's.", least=0.0, most=1.0)
    discriminator_learning_rate: float = option(3e-4, "Peak rate of the discriminator.", above=0.0)
    discriminator_pretraining: float = option(
        0.2,
        "First share of the stage's steps in which the captioner does not listen yet; all it learns from is "
        "cross-entropy, where that has a weight.",
        least=0.0,
        below=1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise UsageError("adversarial training shows captions of other pictures: batch_size must be at least 2")


class Adversarial(PolicyGradient):
    """The captioner by policy gradient against a discriminator that learns beside it, from the same samples.

    The reward is (1 - `cider`) * r(I, S) + `cider` * CIDEr-D. r is the discriminator's probability, as in SeqGAN (Yu et
    al. 2017) and Dai et al.: from 0 to 1, no caption can outweigh all others as it could by a logarithm, and it
    spreads about as widely as CIDEr-D does, so that the mix is what the share says. A whole caption is judged; against
    the other samples of the picture as baseline there are no roll-outs, as Dai et al. have for every word.

    Neither learns through the other: rewards are numbers, and the discriminator's regions are detached.
    """

    settings = AdversarialStage
    stage: AdversarialStage

    def __init__(
        self,
        stage: AdversarialStage,
        recipe: Recipe,
        model: CaptioningModel,
        references: Sequence[Sequence[Sequence[int]]],
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self.learning_rate = stage.discriminator_learning_rate
        self.discriminator = Discriminator(model.encoder.width, len(model.vocabulary))
        self._cider = CiderReward(references) if stage.cider else None

    def rewards(self, batch: Batch, words: Sequence[Sequence[int]]) -> Tensor:
        with evaluation_mode(self.discriminator):
            logits = self.discriminator(batch.regions, pad(words).to(batch.regions.device))
        believed = torch.sigmoid(logits).cpu()
        if self._cider is None:
            return believed
        return torch.lerp(believed, self._cider(batch.pictures, words), self.stage.cider)

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        words = self.draw(model.decoder, batch.regions)
        rewards = self.rewards(batch, words)
        drawn = pad(words).to(batch.regions.device)
        loss, accuracy = self.discriminator.loss(batch.regions, batch.targets, drawn)
        loss = loss + self.beside(model, batch)
        if batch.progress >= self.stage.discriminator_pretraining:
            loss = loss + self.reinforce(model.decoder, batch.regions, words, rewards)
        return loss, {"reward": float(rewards.mean()), "discriminator_accuracy": accuracy}
