"""What a stage of training lowers: the contract every objective keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from capcli.datasets import Item
from capcli.decoding.options import DecodingOptions
from capcli.model.network import CaptioningModel
from capcli.training.evaluate import evaluate
from capcli.training.recipe import Recipe, StageRecipe


@dataclass(frozen=True)
class Batch:
    """What one step learns from: B pictures, K captions of each.

    Attributes:
        regions: B x R x D, with gradients where the encoder is trained.
        pictures: B indices into the training pictures, those without captions behind the others.
        targets: N x T word indices of N = B * K captions drawn from the references, ends included, padded with `<pad>`;
            rows b*K to b*K+K-1 are of picture b.
        progress: share of the stage's steps that are behind, 0 to below 1.
    """

    regions: Tensor
    pictures: Sequence[int]
    targets: Tensor
    progress: float


class Objective(nn.Module, ABC):
    """What a stage lowers. A module, so that what it learns beside the model is trained and saved with the run.

    Args:
        stage: its options, of the class `settings`.
        recipe: the run that the stage is of.
        model: what will be trained; not kept.
        references: of each training picture its captions' words, without start and end.

    Attributes:
        settings: the class of its stages' options: those of every stage, and its own.
        metric: what dev is judged by.
        lower_is_better: whether the lower of two figures of it is the better one.
        parts: the parts of the model that the stage trains, the encoder if its share says so too.
        least_captions: a training picture with fewer is left out. With 0 pictures without captions take part, and
            batches hold no words.
        learning_rate: peak rate of what it learns beside the model.
    """

    settings: ClassVar[type[StageRecipe]]
    metric = "CIDEr-D"
    lower_is_better = False
    parts: tuple[str, ...] = ("encoder", "decoder")
    least_captions = 1
    stage: StageRecipe

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__()
        self.stage = stage
        self.learning_rate = stage.learning_rate

    @abstractmethod
    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step, a scalar, and figures for the log by column, such as `reward`."""

    def trains(self, parameter: str) -> bool:
        """Whether the stage trains the model's parameter of this name, if its encoder's share says so too."""
        return parameter.partition(".")[0] in self.parts

    def merit(self, score: float) -> float:
        """A score of `metric` turned so that the greater is the better, and back."""
        return -score if self.lower_is_better else score

    def judge(
        self,
        model: CaptioningModel,
        items: Sequence[Item],
        options: DecodingOptions,
        regions: Callable[[Sequence[Path]], Tensor],
    ) -> float:
        """`metric` of a model in evaluation mode on held-out pictures; see `evaluate` for the arguments."""
        return evaluate(model, items, options, regions)
