"""Cross-entropy with label smoothing, and the penalty on regions that attention leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from capcli.model.network import CaptioningModel
from capcli.options import option
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.losses import cross_entropy, doubly_stochastic
from capcli.training.recipe import StageRecipe, objective_option
from capcli.training.targets import shift
from capcli.words.vocabulary import SPECIALS, UNKNOWN


@dataclass(frozen=True, kw_only=True)
class TeacherForcingStage(StageRecipe):
    """Options of a stage that has the references' words likely, whatever else it does."""

    label_smoothing: float = option(0.1, "Share of the target spread over all words.", least=0.0, below=1.0)
    doubly_stochastic: float = option(
        0.0, "Weight of the penalty on regions that attention leaves out (Xu et al. 2015, eq. 14).", least=0.0
    )


@dataclass(frozen=True, kw_only=True)
class CrossEntropyStage(TeacherForcingStage):
    """Options of a stage of cross-entropy."""

    objective: str = objective_option("cross-entropy")
    word_dropout: float = option(
        0.0,
        "Share of the words fed to the decoder that are replaced by <unknown> (Bowman et al. 2016, section 3.1).",
        least=0.0,
        below=1.0,
    )


class CrossEntropy(Objective):
    """Makes the references' words likely, each given those before it: teacher forcing."""

    settings = CrossEntropyStage
    stage: CrossEntropyStage

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        return forced_loss(self.stage, model, batch, self._inputs(batch.targets)), {}

    def _inputs(self, targets: Tensor) -> Tensor:
        """The words before the targets, some of them hidden, so that the decoder has to look."""
        inputs = shift(targets)
        if not self.stage.word_dropout:
            return inputs
        hidden = torch.rand(inputs.shape, device=inputs.device) < self.stage.word_dropout
        return inputs.masked_fill(hidden & (inputs >= len(SPECIALS)), UNKNOWN)


def forced_loss(
    stage: TeacherForcingStage, model: CaptioningModel, batch: Batch, inputs: Tensor | None = None
) -> Tensor:
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
