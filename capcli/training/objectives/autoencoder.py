"""Masked autoencoding of regions: the region encoder learns from pictures alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.datasets import Item
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.model.network import CaptioningModel
from capcli.model.region_encoder import RegionEncoder
from capcli.options import option
from capcli.training.evaluate import batch_size
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.recipe import Recipe, StageRecipe, objective_option
from capcli.training.seed import seed_of


@dataclass(frozen=True, kw_only=True)
class AutoencoderStage(StageRecipe):
    """Options of a stage that trains the region encoder alone.

    Raises:
        UsageError: where it would train the encoder too.
    """

    objective: str = objective_option("autoencoder")
    masked: float = option(0.5, "Share of a picture's regions that is hidden.", above=0.0, below=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_from >= 0:
            raise UsageError("an autoencoder tells what the encoder sees, which must not move; leave train_from out")


class Autoencoder(Objective):
    """Hides regions of a picture, and has the region encoder predict from the others what they showed.

    The share `masked` of each picture's regions is replaced by one learned vector, in all of the encoder's places as in
    masked language models (Devlin et al. 2019, section 3.1), since captions are later said from all regions too; a
    linear head predicts from the region encoder's output the hidden regions, and they alone count (He et al. 2022,
    section 3). The loss is the mean squared error from the regions normalised each over its D numbers, as He et al.
    have it; the region encoder, which begins with a layer norm, is given no more of a region itself. Vector and head
    are not part of the model.

    Trained are the region encoder's projection, positions, layers and norms. Dev is judged by the share of the hidden
    regions' variance that is explained, R^2 = 1 - sum |predicted - t|^2 / sum |t - mean t|^2: 1 is perfect, 0 as good
    as predicting the mean of all hidden regions. There the same regions are hidden each time.

    Raises:
        UsageError: for an encoder that gives a single region.
    """

    settings = AutoencoderStage
    stage: AutoencoderStage
    metric = "reconstruction"
    parts = ("decoder",)
    least_captions = 0

    def __init__(
        self, stage: StageRecipe, recipe: Recipe, model: CaptioningModel, references: Sequence[Sequence[Sequence[int]]]
    ) -> None:
        super().__init__(stage, recipe, model, references)
        encoder, rows, columns = model.encoder, *model.encoder.grid
        if rows * columns < 2:
            raise UsageError(
                f"{encoder.config.name} gives one region of {encoder.config.size} pixels, and an autoencoder tells "
                "regions from others; raise [encoder] size"
            )
        self._seed = seed_of(recipe.seed, "hidden regions of dev")
        self.mask = nn.Parameter(torch.empty(encoder.width))
        nn.init.normal_(self.mask, std=0.02)
        self.head = nn.Linear(_encoder(model).encoded_width, encoder.width)

    def trains(self, parameter: str) -> bool:
        return parameter.startswith(f"decoder.{RegionEncoder.encodes}")

    def loss(self, model: CaptioningModel, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        predicted, hidden = self._predict(model, batch.regions, self._places(batch.regions))
        return F.mse_loss(predicted, hidden), {}

    def judge(
        self,
        model: CaptioningModel,
        items: Sequence[Item],
        options: DecodingOptions,
        regions: Callable[[Sequence[Path]], Tensor],
    ) -> float:
        """R^2 over the hidden regions of all pictures."""
        source = torch.Generator().manual_seed(self._seed)
        error, count = 0.0, 0
        # Float64, since the variance is the difference of sums.
        total = squares = torch.zeros((), dtype=torch.float64)
        step = batch_size(next(model.parameters()).device)
        with torch.inference_mode():
            for start in range(0, len(items), step):
                batch = regions([item.image for item in items[start : start + step]])
                predicted, hidden = (
                    tensor.double().cpu() for tensor in self._predict(model, batch, self._places(batch, source))
                )
                error += float((predicted - hidden).square().sum())
                total, squares = total + hidden.sum(0), squares + hidden.square().sum(0)
                count += len(hidden)
        variance = float((squares - total.square() / count).sum())
        return 1 - error / max(variance, 1e-12)

    def _places(self, regions: Tensor, source: torch.Generator | None = None) -> Tensor:
        """Which regions to hide, B x R: of each picture as many, at least one, and not all."""
        pictures, places, _ = regions.shape
        count = min(max(round(self.stage.masked * places), 1), places - 1)
        chance = torch.rand(pictures, places, generator=source, device=source.device if source else regions.device)
        return (chance.argsort(1).argsort(1) < count).to(regions.device)

    def _predict(self, model: CaptioningModel, regions: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What is predicted of the hidden regions, and what they are: float32, regions x D each."""
        masked = torch.where(hidden.unsqueeze(-1), self.mask.to(regions.dtype), regions)
        predicted = self.head(_encoder(model).encode(masked)[hidden])
        target = F.layer_norm(regions[hidden].float(), regions.shape[-1:])
        return predicted.float(), target


def _encoder(model: CaptioningModel) -> RegionEncoder:
    """The region encoder, which a checked recipe's decoder has."""
    assert isinstance(model.decoder, RegionEncoder)
    return model.decoder
