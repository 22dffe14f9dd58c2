"""Contrastive training of the matcher: sentences near their own pictures and far from others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.datasets import Item
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.metrics.retrieval import retrieve
from capcli.model.matcher import Matcher
from capcli.model.network import CaptioningModel
from capcli.options import option
from capcli.training.evaluate import batch_size
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.recipe import Recipe, StageRecipe, objective_option
from capcli.words.tokens import tokenize

COLDEST = 0.01
"""The least temperature (Radford et al. 2021, section 2.5)."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveStage(StageRecipe):
    """Options of a stage that trains the matcher and leaves encoder and decoder as they are.

    Raises:
        UsageError: where it would train the encoder, and for batches of one picture, as pictures are compared.
    """

    objective: str = objective_option("contrastive")
    temperature: float = option(1.0, "What similarities are divided by at first; 0.07 is usual.", least=COLDEST)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_from >= 0:
            raise UsageError("contrastive training leaves the encoder as the decoder knows it; drop train_from")
        if self.batch_size < 2:
            raise UsageError("contrastive training compares pictures: batch_size must be at least 2")


class Contrastive(Objective):
    """InfoNCE over the batch both ways (Radford et al. 2021, figure 3), the temperature learned from the stage's on.

    A picture has several captions in the batch, and they are not negatives of one another: each competes with those of
    the other pictures alone. Encoder and decoder stay as they are.
    """

    settings = ContrastiveStage
    metric = "recall"
    parts = ("matcher",)

    def __init__(
        self,
        stage: ContrastiveStage,
        recipe: Recipe,
        model: CaptioningModel,
        references: Sequence[Sequence[Sequence[int]]],
    ) -> None:
        super().__init__(stage, recipe, model, references)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(stage.temperature)))

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        matcher = _matcher(model)
        pictures, sentences = matcher.pictures(batch.regions), matcher.sentences(batch.targets)
        with torch.no_grad():
            # The parameter itself, which beyond the bound would have no gradient to come back by.
            self.log_scale.clamp_(max=-math.log(COLDEST))
        # bfloat16 does not tell similarities apart that the temperature makes as different as day and night.
        with torch.autocast(pictures.device.type, enabled=False):
            scale = self.log_scale.exp()
            loss = info_nce(sentences @ pictures.T * scale)
        return loss, {"temperature": float(1 / scale.detach())}

    def judge(
        self,
        model: CaptioningModel,
        items: Sequence[Item],
        options: DecodingOptions,
        regions: Callable[[Sequence[Path]], Tensor],
    ) -> float:
        """Mean of R@1, R@5 and R@10 both ways, 0 to 1, of held-out pictures among each other."""
        matcher, vocabulary = _matcher(model), model.vocabulary
        sentences = [vocabulary.encode(tokenize(caption)) for item in items for caption in item.captions]
        owners = np.repeat(np.arange(len(items)), [len(item.captions) for item in items])
        step = batch_size(next(matcher.parameters()).device)
        groups = [items[start : start + step] for start in range(0, len(items), step)]
        with torch.inference_mode():
            pictures = torch.cat([matcher.pictures(regions([item.image for item in group])) for group in groups])
            vectors = matcher.embed(sentences)
        return retrieve(pictures.cpu().numpy() @ vectors.cpu().numpy().T, owners).mean_recall


def info_nce(logits: Tensor) -> Tensor:
    """Mean of the losses by which sentences choose their pictures and pictures their sentences, in nats.

    Args:
        logits: N x B similarities over the temperature, of N = B * K sentences, the K of a picture beside each other.
    """
    owners = torch.arange(logits.shape[1], device=logits.device).repeat_interleave(len(logits) // logits.shape[1])
    right = logits.gather(1, owners.unsqueeze(1)).squeeze(1)
    wrong = logits.scatter(1, owners.unsqueeze(1), -torch.inf).logsumexp(0)
    return (F.cross_entropy(logits, owners) + F.softplus(wrong[owners] - right).mean()) / 2


def _matcher(model: CaptioningModel) -> Matcher:
    assert model.matcher is not None, "Trainer sees to that"
    return model.matcher
