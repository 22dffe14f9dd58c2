"""A recipe: every choice of a training run, read from TOML."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from capcli.decoding.options import OF_LANGUAGE_MODELS, DecodingOptions
from capcli.errors import UsageError
from capcli.options import one_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST = (1e12, 1e100)
"""Of the whole and of the other numbers in a recipe."""


@dataclass(frozen=True)
class DataRecipe:
    """`[data]`.

    Attributes:
        min_count: words rarer than this in the training captions become `<unknown>`.
        hold_out: share of a dataset without a dev split that is never trained on, 0 to below 1; its pictures are
            chosen by a hash of their file names, so they stay the same from run to run.
        max_length: of longer training captions only this many words are learnt, without an end.
    """

    min_count: int = 5
    hold_out: float = 0.05
    max_length: int = 30


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
            or, of a language model, `language`, which is cross-entropy judged by perplexity, and whose pictures are
            sentences.
        epochs: passes over the training pictures, each followed by a look at dev.
        pictures: pictures in an epoch, drawn anew each time; 0 for all.
        features: `cached` reads frozen regions computed once; `pictures` runs the encoder on augmented pictures.
        views: cached only: augmented versions of each picture in the cache, beside the plain one.
        train_from: first block of the encoder's trunk to fine-tune, -1 for none; needs `features = "pictures"`.
        batch_size: pictures per step.
        captions: captions per picture and step, drawn from the references, and sampled by policy gradients
            (`self-critical` and `adversarial`).
        learning_rate: peak rate of all but the encoder and the discriminator (AdamW).
        encoder_learning_rate: peak rate of the encoder.
        final_learning_rate: rate at the end of the cosine, as a share of the peak.
        warmup: steps of linear warm-up.
        weight_decay: decoupled weight decay of matrices.
        clip: largest norm of the gradient.
        label_smoothing: share of the target spread over all words.
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
    final_learning_rate: float = 0.05
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 1.0
    label_smoothing: float = 0.1
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

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads and checks a TOML recipe.

        Raises:
            UsageError: if the file is missing or no TOML, a key is unknown (near ones are named), a value has the
                wrong type or range, or choices contradict each other.
        """
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise UsageError(f"{path}: cannot read the recipe ({error.strerror})") from None
        except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, and of numbers without end
            raise UsageError(f"{path}: not a TOML recipe: {error}") from None
        try:
            return cls.from_dict(values)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Builds a recipe from parsed TOML; raises UsageError as `read` does."""
        recipe = _build(cls, values, "")
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raises UsageError for values out of range and choices that contradict each other."""
        import torch

        from capcli.model.decoder import build_decoder, decoder_config
        from capcli.model.encoder import LARGEST_INPUT, NONE, check_name
        from capcli.model.matcher import build_matcher

        longest = max(self.data.max_length, self.decoding.max_length)
        _, config = decoder_config(self.decoder)
        if longest > config.max_length:
            raise UsageError(f"a decoder of max_length {config.max_length} cannot say {longest} words")
        if not self.name or not self.name.isprintable() or Path(self.name).name != self.name:
            raise UsageError(f"name is that of a file, without its ending, not {self.name!r}")
        if not self.stage:
            raise UsageError("a recipe needs at least one [[stage]]")
        if not 0 <= self.data.hold_out < 1 or self.data.min_count < 1 or self.data.max_length < 1:
            raise UsageError("[data] needs hold_out from 0 to below 1, min_count and max_length of at least 1")
        if not 32 <= self.encoder.size <= LARGEST_INPUT:
            raise UsageError(f"[encoder] size must be 32 to {LARGEST_INPUT} pixels, not {self.encoder.size}")
        check_name(self.encoder.name)
        for key in OF_LANGUAGE_MODELS:
            if getattr(self.decoding, key):
                raise UsageError(f"[decoding] {key} is for a language model, and training has none; leave it out")
        with torch.device("meta"):
            decoder = build_decoder(self.decoder, 1, (1, 1), 1)
            if self.matcher is not None:
                build_matcher(self.matcher, 1, 1)
        for number, stage in enumerate(self.stage, 1):
            _check_stage(stage, f"stage {number}")
            if stage.objective == "autoencoder" and not config.region_layers:
                raise UsageError(
                    f"stage {number}: an autoencoder trains the region encoder, and the decoder {self.decoder['name']} "
                    "has region_layers = 0; set it to at least 1"
                )
            if (stage.objective == "language") != (self.encoder.name == NONE):
                raise UsageError(
                    f"stage {number}: objective 'language' and [encoder] name = 'none' make a language model together, "
                    f"not {stage.objective!r} with {self.encoder.name!r}"
                )
            if self.encoder.name == NONE and stage.features != "cached":
                raise UsageError(f"stage {number}: a language model sees no pictures; leave features out")
            if stage.doubly_stochastic and decoder.heads == (0, 0):
                raise UsageError(
                    f"stage {number}: doubly_stochastic is a penalty on attention, and the decoder "
                    f"{self.decoder['name']} has none; leave it out, or take another decoder, such as lstm"
                )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, as `from_dict` takes them."""
        values = dataclasses.asdict(self)
        if self.matcher is None:
            del values["matcher"]
        return values


def _check_stage(stage: StageRecipe, name: str) -> None:
    # The registry imports torch.
    from capcli.training.objective import objectives

    known = objectives()
    one_of(f"{name}: objective", stage.objective, known)
    one_of(f"{name}: keep", stage.keep, ("best", "last"))
    if stage.features not in ("cached", "pictures"):
        raise UsageError(f"{name}: features must be 'cached' or 'pictures', not {stage.features!r}")
    if stage.train_from >= 0 and stage.features == "cached":
        raise UsageError(f"{name}: a fine-tuned encoder (train_from) needs features = 'pictures'")
    if not 0 < stage.masked < 1:
        raise UsageError(f"{name}: masked must be above 0 and below 1")
    for key in ("epochs", "batch_size", "captions", "patience"):
        if getattr(stage, key) < 1:
            raise UsageError(f"{name}: {key} must be at least 1")
    for key in ("learning_rate", "discriminator_learning_rate", "clip", "temperature"):
        if not getattr(stage, key) > 0:
            raise UsageError(f"{name}: {key} must be above 0")
    for key in (
        "pictures", "views", "encoder_learning_rate", "final_learning_rate", "warmup", "weight_decay",
        "doubly_stochastic", "cross_entropy",
    ):  # fmt: skip
        if not getattr(stage, key) >= 0:
            raise UsageError(f"{name}: {key} must be at least 0")
    for key in ("jitter", "sampling_probability", "cider"):
        if not 0 <= getattr(stage, key) <= 1:
            raise UsageError(f"{name}: {key} must be 0 to 1")
    if not 0 <= stage.discriminator_pretraining < 1:
        raise UsageError(f"{name}: discriminator_pretraining must be 0 to below 1")
    if not 0 <= stage.average < 1 or not 0 < stage.crop <= 1 or not 0 <= stage.label_smoothing < 1:
        raise UsageError(f"{name}: needs 0 <= average < 1, 0 < crop <= 1 and 0 <= label_smoothing < 1")
    try:
        known[stage.objective].check(stage)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise UsageError(f"[{where}] must be a table")
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    built = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            near = difflib.get_close_matches(key, known, 3) or known
            raise UsageError(f"unknown key {place!r}; near it: {', '.join(near)}")
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            built[key] = _build(hint, value, place)  # type: ignore[arg-type]
        elif key == "stage":
            if not isinstance(value, (list, tuple)):
                raise UsageError("stages are written [[stage]]")
            built[key] = tuple(_build(StageRecipe, one, f"stage {i}") for i, one in enumerate(value, 1))
        elif hint in (int, float, str, bool):
            accepted = (int, float) if hint is float else (hint,)
            if isinstance(value, bool) != (hint is bool) or not isinstance(value, accepted):
                raise UsageError(f"{place} must be {hint.__name__}, not {value!r}")
            if not isinstance(value, str) and abs(value) > (largest := LARGEST[isinstance(value, float)]):
                raise UsageError(f"{place} is beyond {largest:g}, larger than any number of use")
            built[key] = hint(value)
        else:
            if not isinstance(value, dict):
                raise UsageError(f"[{place}] must be a table")
            built[key] = value
    return kind(**built)
