"""A recipe: every choice of a training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from capcli.decoding.options import DecodingOptions


@dataclass(frozen=True)
class DataRecipe:
    """`[data]`.

    Attributes:
        min_count: words rarer than this in the training captions become `<unknown>`.
        hold_out: share of a dataset without a dev split that is never trained on, 0 to below 1; its pictures are
            chosen by a hash of their file names, so they stay the same from run to run.
        max_length: of longer training captions only this many words are learnt, without an end.
        temperature: data sets take part in proportion to their number of pictures to this power, 0 to 1: at 1 all
            pictures count the same, at 0 all data sets do.
        choose_by: names of the data sets whose mean score on dev chooses the weights; by default the first one's does,
            and the others' are logged.
    """

    min_count: int = 5
    hold_out: float = 0.05
    max_length: int = 30
    temperature: float = 1.0
    choose_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncoderRecipe:
    """`[encoder]`.

    Attributes:
        name: torchvision model, or `none` for a language model, which is trained on sentences alone.
        size: side of the square input in pixels.
        weights: `imagenet` (torchvision's own), `none`, or a safetensors file; `--encoder-weights` goes first.
    """

    name: str = "efficientnet_b4"
    size: int = 224
    weights: str = "imagenet"


@dataclass(frozen=True)
class StageRecipe:
    """One `[[stage]]`; stages follow each other and hand on their weights.

    Attributes:
        objective: `cross-entropy`, `scheduled-sampling` (Bengio et al. 2015), `self-critical` (Rennie et al. 2017) or
            `adversarial` (Dai et al. 2017); `autoencoder`, which trains the region encoder alone and needs no captions;
            `contrastive`, which trains the matcher and leaves encoder and decoder as they are (Radford et al. 2021);
            or `language`, which trains a language model, or a captioner's decoder with nothing to see, on sentences,
            and is judged by perplexity.
        epochs: passes over the training pictures, each followed by a look at dev.
        pictures: pictures in an epoch, drawn anew each time; 0 for all.
        features: `cached` reads what the frozen blocks of the encoder make of each picture, computed once;
            `pictures` runs all of the encoder on augmented pictures.
        views: cached only: augmented versions of each picture in the cache, beside the plain one.
        train_from: first block of the encoder's trunk to fine-tune, -1 for none.
        batch_size: pictures per step.
        captions: captions per picture and step, drawn from the references, and sampled by policy gradients
            (`self-critical` and `adversarial`).
        learning_rate: peak rate of all but the encoder and the discriminator (AdamW).
        encoder_learning_rate: peak rate of the encoder; at 0 its blocks from `train_from` on are computed, not trained.
        anchor: weight of a loss that keeps the encoder from forgetting: one minus the cosine between the mean of a
            picture's regions and what it was, for the plain picture, when the stage began, or is by `--encoder-weights`
            beside `--from` (after Li and Hoiem 2016, "Learning without Forgetting", with features in place of scores).
        final_learning_rate: rate at the end of the cosine, as a share of the peak.
        warmup: steps of linear warm-up.
        weight_decay: decoupled weight decay of matrices.
        clip: largest norm of the gradient.
        label_smoothing: share of the target spread over all words.
        word_dropout: share of the words fed to the decoder that are replaced by `<unknown>` (Bowman et al. 2016,
            section 3.1); cross-entropy only.
        doubly_stochastic: weight of the penalty on regions that attention leaves out (Xu et al. 2015, eq. 14).
        sampling_probability: scheduled sampling only: share of the input words that are the model's own at the end of
            the stage; it rises linearly from 0.
        temperature: policy gradients: of the sampled policy, see `PolicyGradient`; contrastive: what similarities are
            divided by at first, see `Contrastive`; 0.07 is usual.
        cross_entropy: policy gradients only: weight of cross-entropy beside the reward.
        cider: adversarial only: share of CIDEr-D in the reward, 0 to 1; the rest is the discriminator's.
        discriminator_learning_rate: adversarial only: peak rate of the discriminator.
        discriminator_pretraining: adversarial only: first share of the stage's steps, 0 to below 1, in which the
            captioner does not listen yet; all it learns from is cross-entropy, where that has a weight.
        masked: autoencoder only: share of a picture's regions that is hidden, see `Autoencoder`.
        average: decay per step of the running average of the weights that is evaluated and kept; 0 for none.
        crop: least share of a picture's area that a random crop keeps; 1 does not crop.
        jitter: greatest relative change of brightness, contrast and saturation.
        keep: the weights that the stage hands on: `best`, of the epoch that was best on dev, or `last`, of the last
            epoch, for what dev's metric does not tell, such as diversity.
        patience: epochs without a better score on dev before the stage ends; nothing ends it early that keeps the last.
    """

    objective: str = "cross-entropy"
    epochs: int = 10
    pictures: int = 0
    features: str = "cached"
    views: int = 0
    train_from: int = -1
    batch_size: int = 32
    captions: int = 2
    learning_rate: float = 3e-4
    encoder_learning_rate: float = 5e-5
    anchor: float = 0.0
    final_learning_rate: float = 0.05
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    label_smoothing: float = 0.1
    word_dropout: float = 0.0
    doubly_stochastic: float = 0.0
    sampling_probability: float = 0.25
    temperature: float = 1.0
    cross_entropy: float = 0.0
    cider: float = 0.0
    discriminator_learning_rate: float = 3e-4
    discriminator_pretraining: float = 0.2
    masked: float = 0.5
    average: float = 0.999
    crop: float = 0.6
    jitter: float = 0.3
    keep: str = "best"
    patience: int = 5


@dataclass(frozen=True)
class Recipe:
    """A whole run: `[data]`, `[encoder]`, `[decoder]`, `[matcher]`, `[decoding]` and one or more `[[stage]]`.

    Without `[matcher]` the model has none, unless the one that it starts from does.
    """

    name: str = "model"
    seed: int = 1
    data: DataRecipe = field(default_factory=DataRecipe)
    encoder: EncoderRecipe = field(default_factory=EncoderRecipe)
    decoder: dict[str, Any] = field(default_factory=lambda: {"name": "transformer"})
    matcher: dict[str, Any] | None = None
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    stage: tuple[StageRecipe, ...] = (StageRecipe(),)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as `build_recipe` takes them."""
        values = dataclasses.asdict(self)
        if self.matcher is None:
            del values["matcher"]
        return values
