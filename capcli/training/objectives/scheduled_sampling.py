"""Scheduled sampling (Bengio et al. 2015): the model learns to go on from words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from capcli.model.decoders.contract import Decoder
from capcli.model.network import CaptioningModel
from capcli.options import option
from capcli.training.evaluation_mode import evaluation_mode
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.cross_entropy import TeacherForcingStage, forced_loss
from capcli.training.recipe import objective_option
from capcli.training.targets import shift
from capcli.words.vocabulary import END, PAD, UNSAYABLE


@dataclass(frozen=True, kw_only=True)
class ScheduledSamplingStage(TeacherForcingStage):
    """Options of a stage of scheduled sampling."""

    objective: str = objective_option("scheduled-sampling")
    sampling_probability: float = option(
        0.25,
        "Share of the input words that are the model's own at the end of the stage; it rises linearly from 0.",
        least=0.0,
        most=1.0,
    )


class ScheduledSampling(Objective):
    """Cross-entropy of the references' words, given inputs of which a growing share are the model's own draws.

    The share rises linearly from 0 to the stage's `sampling_probability`: 1 - epsilon_i under the linear decay of the
    paper's section 2.4. What the inputs were drawn by has no gradient.
    """

    settings = ScheduledSamplingStage
    stage: ScheduledSamplingStage

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        share = self.stage.sampling_probability * batch.progress
        # Without a draw there is nothing to decode for, and the loss is that of cross-entropy to the last bit.
        inputs = mixed(model.decoder, batch.regions, batch.targets, share) if share else None
        return forced_loss(self.stage, model, batch, inputs), {}


def mixed(decoder: Decoder[Any], regions: Tensor, targets: Tensor, share: float) -> Tensor:
    """Inputs N x T for targets N x T, each word by a coin the reference's or one drawn from the decoder, which has read
    the mixed words before it.

    Args:
        decoder: any decoder.
        regions: B x R x D, N a multiple of B.
        targets: word indices, ends included; what comes after them is left as it is.
        share: probability of a drawn word, 0 to 1.
    """
    N, T = targets.shape
    given = shift(targets)
    own = (torch.rand(N, T, device=targets.device) < share) & (given != PAD) & (given != END)
    # Nothing but words is ever fed in use; where the reference goes on, no end is drawn.
    barred = torch.tensor([*UNSAYABLE, END], device=targets.device)
    inputs = given[:, :1]
    with evaluation_mode(decoder):
        state = decoder.begin(regions, N // len(regions))
        for position in range(1, T):
            log_probabilities, _, state = decoder.step(inputs[:, -1], state)
            shares = log_probabilities.index_fill(-1, barred, -torch.inf).softmax(-1)
            # What comes first in a race is drawn by its share; `multinomial` stops where the model has diverged, which
            # the loss is to tell.
            drawn = (shares / torch.empty_like(shares).exponential_()).argmax(-1)
            inputs = torch.cat([inputs, drawn.where(own[:, position], given[:, position]).unsqueeze(1)], 1)
    return inputs
