"""Policy gradient: captions that the model draws itself become likelier by what they earn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from capcli.decoding.options import COLDEST_SAMPLING, HOTTEST_SAMPLING, DecodingOptions
from capcli.decoding.sample import sample
from capcli.errors import UsageError
from capcli.model.decoders.contract import Decoder
from capcli.model.network import CaptioningModel
from capcli.options import option
from capcli.training.evaluation_mode import evaluation_mode
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.cross_entropy import TeacherForcingStage, forced_loss
from capcli.training.objectives.losses import policy_gradient
from capcli.training.recipe import Recipe
from capcli.training.targets import pad, shift
from capcli.words.vocabulary import END


@dataclass(frozen=True, kw_only=True)
class PolicyGradientStage(TeacherForcingStage):
    """Options of a stage of policy gradients.

    Raises:
        UsageError: for fewer than two captions of a picture, as they are compared.
    """

    temperature: float = option(
        1.0,
        "Temperature of the policy that is sampled and trained; below 1 it is near what beam search says.",
        least=COLDEST_SAMPLING,
        most=HOTTEST_SAMPLING,
    )
    cross_entropy: float = option(0.0, "Weight of cross-entropy beside the reward.", least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.captions < 2:
            raise UsageError(f"{self.objective} training compares at least 2 captions of a picture")


class PolicyGradient(Objective):
    """REINFORCE over `captions` samples of each picture, with cross-entropy beside it by the stage's weight.

    The baseline of a sample is the mean reward of the picture's other samples (Luo 2020, section 3), which needs no
    second decoding. The stage's `temperature` is that of the policy that is sampled and trained; below 1 it is near
    what beam search says from the start, so that training improves the words and does not spend itself on making the
    model surer.
    """

    stage: PolicyGradientStage

    def __init__(
        self,
        stage: PolicyGradientStage,
        recipe: Recipe,
        model: CaptioningModel,
        references: Sequence[Sequence[Sequence[int]]],
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self._options = DecodingOptions(
            sample=True, temperature=stage.temperature, max_length=recipe.decoding.max_length, no_repeat_ngram=0
        )

    @abstractmethod
    def rewards(self, batch: Batch, words: Sequence[Sequence[int]]) -> Tensor:
        """What each sample earns: B x K float32 without gradients, for B * K captions, ends included where they have
        one, the K of a picture beside each other.
        """

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        words = self.draw(model.decoder, batch.regions)
        rewards = self.rewards(batch, words)
        loss = self.reinforce(model.decoder, batch.regions, words, rewards) + self.beside(model, batch)
        return loss, {"reward": float(rewards.mean())}

    def draw(self, decoder: Decoder[Any], regions: Tensor) -> list[list[int]]:
        """Words of B * K samples, the K of a picture beside each other, with ends where they were not cut."""
        uniforms = torch.rand(len(regions), self.stage.captions, self._options.max_length, device=regions.device)
        with evaluation_mode(decoder):
            drawn = sample(decoder, regions, self._options, uniforms)
        return [
            hypothesis.tokens + ([END] if hypothesis.end_log_probability is not None else [])
            for captions in drawn
            for hypothesis in captions
        ]

    def reinforce(
        self, decoder: Decoder[Any], regions: Tensor, words: Sequence[Sequence[int]], rewards: Tensor
    ) -> Tensor:
        """The loss that makes `words`, as `draw` gives them, likelier by their `rewards` B x K."""
        others = (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)
        advantage = (rewards - others).flatten().to(regions.device)
        target = pad(words).to(regions.device)
        log_probabilities, _ = decoder(regions, shift(target))
        if self._options.temperature != 1.0:
            log_probabilities = (log_probabilities / self._options.temperature).log_softmax(-1)
        chosen = log_probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return policy_gradient(chosen, target, advantage)

    def beside(self, model: CaptioningModel, batch: Batch) -> Tensor:
        """Cross-entropy of the batch's captions by the stage's weight; 0 without computing it where there is none."""
        if not self.stage.cross_entropy:
            return batch.regions.new_zeros(())
        return self.stage.cross_entropy * forced_loss(self.stage, model, batch)
