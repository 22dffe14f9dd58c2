"""A recipe: every choice of a training run. What an objective alone needs is declared beside it, see `StageRecipe`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.model.settings import LARGEST_INPUT, NO_ENCODER
from capcli.options import check, option


@dataclass(frozen=True)
class DataRecipe:
    """`[data]`; raises UsageError for a value of the wrong type or outside its range, as all parts of a recipe do."""

    min_count: int = option(5, "Words rarer than this in the training captions become <unknown>.", least=1)
    hold_out: float = option(
        0.05,
        "Share of a data set without a dev split that is never trained on; a hash of their file names chooses its "
        "pictures, so they stay the same from run to run.",
        least=0.0,
        below=1.0,
    )
    max_length: int = option(
        30, "Of longer training captions only this many words are learnt, without an end.", least=1
    )
    temperature: float = option(
        1.0,
        "Data sets take part in proportion to their number of pictures to this power: at 1 all pictures count the "
        "same, at 0 all data sets do.",
        least=0.0,
        most=1.0,
    )
    choose_by: tuple[str, ...] = option(
        (),
        "Names of the data sets whose mean score on dev chooses the weights; by default the first one's does, and the "
        "others' are logged.",
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EncoderRecipe:
    """`[encoder]`."""

    name: str = option(
        "efficientnet_b4", "torchvision model, or none for a language model, which is trained on sentences alone."
    )
    size: int = option(224, "Side of the square input in pixels.", least=32, most=LARGEST_INPUT)
    weights: str = option(
        "imagenet", "imagenet (torchvision's own), none, or a safetensors file; --encoder-weights goes first."
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def sees(self) -> bool:
        """Whether there is an encoder; a language model has none."""
        return self.name != NO_ENCODER


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """What every `[[stage]]` has; stages follow each other and hand on their weights.

    Each objective has a class derived from this one, `Objective.settings`, with what it alone needs. A recipe holds
    both beside each other.
    """

    objective: str
    epochs: int = option(10, "Passes over the training pictures.", least=1)
    judge_every: int = option(
        1, "Epochs from one look at dev to the next; after the last epoch there always is one.", least=1
    )
    pictures: int = option(0, "Pictures in an epoch, drawn anew each time; 0 for all.", least=0)
    features: str = option(
        "cached",
        "cached reads what the frozen blocks of the encoder make of each picture, computed once; pictures runs all of "
        "the encoder on augmented pictures.",
        choices=("cached", "pictures"),
    )
    views: int = option(
        0, "Cached only: augmented versions of each picture in the cache, beside the plain one.", least=0
    )
    train_from: int = option(-1, "First block of the encoder's trunk to fine-tune, -1 for none.", least=-1)
    batch_size: int = option(32, "Pictures in each step.", least=1)
    captions: int = option(
        2, "Captions of each picture and step, drawn from the references, and sampled by policy gradients.", least=1
    )
    learning_rate: float = option(
        3e-4, "Peak rate of all but the encoder and what the objective learns beside the model (AdamW).", above=0.0
    )
    encoder_learning_rate: float = option(
        5e-5,
        "Peak rate of the encoder; at 0 its blocks from train_from on are computed, not trained.",
        least=0.0,
    )
    anchor: float = option(
        0.0,
        "Weight of a loss that keeps the encoder from forgetting: one minus the cosine between the mean of a picture's "
        "regions and what it was, for the plain picture, when the stage began, or is by --encoder-weights beside "
        "--from (after Li and Hoiem 2016, Learning without Forgetting, with features in place of class scores).",
        least=0.0,
    )
    restore: float = option(
        0.0,
        "Share of the weights that the encoder was trained from, mixed into it when the stage begins, so that it "
        "remembers what fine-tuning made it forget (Wortsman et al. 2022, WiSE-FT): [encoder] weights, or those of "
        "--encoder-weights.",
        least=0.0,
        most=1.0,
    )
    final_learning_rate: float = option(0.05, "Rate at the end of the cosine, as a share of the peak.", least=0.0)
    warmup: int = option(200, "Steps of linear warm-up.", least=0)
    weight_decay: float = option(0.01, "Decoupled weight decay of matrices.", least=0.0)
    clip: float = option(1.0, "Largest norm of the gradient.", above=0.0)
    average: float = option(
        0.999,
        "Decay per step of the running average of the weights that is evaluated and kept; 0 for none.",
        least=0.0,
        below=1.0,
    )
    crop: float = option(
        0.6, "Least share of a picture's area that a random crop keeps; 1 does not crop.", above=0.0, most=1.0
    )
    jitter: float = option(0.3, "Greatest relative change of brightness, contrast and saturation.", least=0.0, most=1.0)
    keep: str = option(
        "best",
        "The weights that the stage hands on: best, of the epoch that was best on dev, or last, of the last epoch, for "
        "what dev's metric does not measure, such as diversity.",
        choices=("best", "last"),
    )
    patience: int = option(
        5,
        "Looks at dev without a better score before the stage ends; a stage that keeps the last weights never ends "
        "early.",
        least=1,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.train_from == 0 and self.features == "cached":
            raise UsageError("an encoder that is trained whole (train_from = 0) needs features = 'pictures'")
        if self.anchor and (self.train_from < 1 or self.features != "cached"):
            raise UsageError("anchor holds an encoder that is trained on cached features from block 1 or later on")


def objective_option(name: str) -> str:
    """The field `objective` of the settings of the objective of this name."""
    return option(name, "What the stage lowers.", choices=(name,))


@dataclass(frozen=True)
class Recipe:
    """A whole run: `[data]`, `[encoder]`, `[decoder]`, `[matcher]`, `[decoding]` and one or more `[[stage]]`.

    Without `[matcher]` the model has none, unless the one that it starts from does.
    """

    name: str = option("model", "Name of the model file, without its ending.")
    seed: int = option(1, "Where all chance comes from.")
    data: DataRecipe = field(default_factory=DataRecipe)
    encoder: EncoderRecipe = field(default_factory=EncoderRecipe)
    decoder: dict[str, object] = field(default_factory=lambda: {"name": "transformer"})
    matcher: dict[str, object] | None = None
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    stage: tuple[StageRecipe, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if not self.name or not self.name.isprintable() or Path(self.name).name != self.name:
            raise UsageError(f"name is that of a file, without its ending, not {self.name!r}")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as `build_recipe` takes them."""
        values = dataclasses.asdict(self)
        if self.matcher is None:
            del values["matcher"]
        return values
