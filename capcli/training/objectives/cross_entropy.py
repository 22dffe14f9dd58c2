"""Cross-entropy with label smoothing, and the penalty on regions that attention leaves out."""

from __future__ import annotations

import torch
from torch import Tensor

from capcli.model.network import CaptioningModel
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.losses import cross_entropy, doubly_stochastic
from capcli.training.recipe import StageRecipe
from capcli.training.targets import shift
from capcli.words.vocabulary import SPECIALS, UNKNOWN


class CrossEntropy(Objective):
    """Makes the references' words likely, each given those before it: teacher forcing."""

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return forced_loss(self.stage, model, batch, self._inputs(batch.targets)), {}

    def _inputs(self, targets: Tensor) -> Tensor:
        """The words before the targets, some of them hidden, so that the decoder has to look."""
        inputs = shift(targets)
        if not self.stage.word_dropout:
            return inputs
        hidden = torch.rand(inputs.shape, device=inputs.device) < self.stage.word_dropout
        return inputs.masked_fill(hidden & (inputs >= len(SPECIALS)), UNKNOWN)


def forced_loss(stage: StageRecipe, model: CaptioningModel, batch: Batch, inputs: Tensor | None = None) -> Tensor:
    """Cross-entropy of the batch's captions, with the smoothing and the penalty that the stage asks for.

    Args:
        stage: its options.
        model: what is trained.
        batch: its regions and targets N x T.
        inputs: N x T words that the decoder is fed; None for those before the targets.
    """
    log_probabilities, attention = model.decoder(batch.regions, shift(batch.targets) if inputs is None else inputs)
    loss = cross_entropy(log_probabilities, batch.targets, stage.label_smoothing)
    if stage.doubly_stochastic and attention is not None:
        loss = loss + stage.doubly_stochastic * doubly_stochastic(attention, batch.targets)
    return loss
