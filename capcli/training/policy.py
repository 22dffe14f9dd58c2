"""Policy gradient: captions that the model draws itself become likelier by what they earn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.decoding.sample import sample
from capcli.model.captioning import CaptioningModel
from capcli.model.decoder import Decoder
from capcli.model.vocabulary import END
from capcli.training.cross_entropy import forced_loss
from capcli.training.losses import policy_gradient
from capcli.training.objective import Batch, Objective
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.words import pad, shift


class PolicyGradient(Objective):
    """REINFORCE over `captions` samples of each picture, with cross-entropy beside it by the stage's weight.

    The baseline of a sample is the mean reward of the picture's other samples (Luo 2020, section 3), which needs no
    second decoding. The stage's `temperature` is that of the policy that is sampled and trained; below 1 it is near
    what beam search says from the start, so that training improves the words and does not spend itself on making the
    model surer.
    """

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
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
        words = self._draw(model.decoder, batch.regions)
        rewards = self.rewards(batch, words)
        others = (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)
        advantage = (rewards - others).flatten().to(batch.regions.device)
        target = pad(words).to(batch.regions.device)
        log_probabilities, _ = model.decoder(batch.regions, shift(target))
        if self._options.temperature != 1.0:
            log_probabilities = (log_probabilities / self._options.temperature).log_softmax(-1)
        chosen = log_probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        loss = policy_gradient(chosen, target, advantage)
        if self.stage.cross_entropy:
            loss = loss + self.stage.cross_entropy * forced_loss(self.stage, model, batch)
        return loss, {"reward": float(rewards.mean())}

    def _draw(self, decoder: Decoder, regions: Tensor) -> list[list[int]]:
        """Words of B * K samples, the K of a picture beside each other, with ends where they were not cut."""
        training = decoder.training
        decoder.eval()
        uniforms = torch.rand(len(regions), self.stage.captions, self._options.max_length, device=regions.device)
        drawn = sample(decoder, regions, self._options, uniforms)
        decoder.train(training)
        # Some releases of torch keep the half-precision weights of a pass without gradients and would use them below.
        torch.clear_autocast_cache()
        return [
            hypothesis.tokens + ([END] if hypothesis.end_log_probability is not None else [])
            for captions in drawn
            for hypothesis in captions
        ]
