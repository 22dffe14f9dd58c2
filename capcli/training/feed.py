"""What a stage trains on, batch by batch, prepared ahead of the model."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from capcli.arrays import UInt8Array
from capcli.errors import UsageError
from capcli.model.encoder import Encoder
from capcli.model.encoder_blind import BlindEncoder
from capcli.pictures.read import read_array, read_picture
from capcli.training.augment import augment
from capcli.training.corpus import Corpus
from capcli.training.features import FeatureCache
from capcli.training.log import TrainingLog
from capcli.training.read_ahead import read_ahead
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.targets import pad, target

BUCKET_BATCHES = 16
DRAWN_AT_ONCE = 64

Draw = tuple[int, int]
"""A training picture, and how many times an epoch has drawn it before."""


class Feed:
    """Batches of one stage: cached regions, augmented pictures or nothing to see, and captions of the references.

    All chance is seeded by the recipe's seed, the stage, the epoch and the picture.

    Args:
        stage: what is asked for.
        number: of the stage in the recipe, from 0.
        recipe: the run.
        corpus: what to train on and to be judged by.
        references: of each training picture its captions' words, without start and end.
        encoder: computes the regions of dev, and of the cache.
        cache: folder of cached regions.
        log: hears how far the cache is.
        least_captions: a picture with fewer is left out; with 0 pictures without captions take part.
        share: what of each batch is prepared here, where others prepare the rest.

    Attributes:
        cached: whether batches hold what the cache does; pictures otherwise.
        below: what the cache holds is that of the encoder's blocks below this one; None for regions.
        count: pictures in an epoch.

    Raises:
        UsageError: where no picture has enough captions.
        UnreadableImage: for the first picture that cannot be read.
    """

    def __init__(
        self,
        stage: StageRecipe,
        number: int,
        recipe: Recipe,
        corpus: Corpus,
        references: Sequence[Sequence[Sequence[int]]],
        encoder: Encoder | BlindEncoder,
        cache: Path,
        log: TrainingLog,
        *,
        least_captions: int = 1,
        share: slice = slice(None),
    ) -> None:
        self._stage, self._recipe, self._encoder = stage, recipe, encoder
        self._share = share
        self._key = f"{recipe.seed} {number}"
        self._words = least_captions > 0
        unlabelled = [] if self._words else list(corpus.unlabelled)
        self._references = [*references, *([] for _ in unlabelled)]
        self._pictures = [i for i, captions in enumerate(self._references) if len(captions) >= least_captions]
        if not self._pictures:
            raise UsageError(f"{stage.objective} training needs pictures with at least {least_captions} captions")
        self.cached = stage.features == "cached"
        self._sources: dict[int, list[int]] = {}
        for picture in self._pictures:
            source = corpus.sources[picture] if picture < len(corpus.sources) else -1
            self._sources.setdefault(source, []).append(picture)
        self.count = min(stage.pictures or len(self._pictures), len(self._pictures))
        self._size = encoder.config.size
        self._files = [item.image for item in corpus.train] + unlabelled
        if unlabelled:
            log.say(f"{len(unlabelled):,} pictures without captions beside {len(references):,} with them")
        self.below = stage.train_from if self.cached and stage.train_from >= 0 else None
        if self.cached and not isinstance(encoder, BlindEncoder):
            labelled = corpus.pictures
            log.begin("regions", (1 + stage.views) * (len(labelled) + len(unlabelled)))
            encoder.eval()
            # Caches of their own, so that one of the data sets serves runs with and without unlabelled pictures.
            self._held: dict[Path, FeatureCache] = {}
            for files in filter(None, (labelled, unlabelled)):
                self._held |= dict.fromkeys(files, self._cache(encoder, files, cache, log))

    def _cache(self, encoder: Encoder, files: Sequence[Path], folder: Path, log: TrainingLog) -> FeatureCache:
        last = [0]

        def report(done: int, _: int) -> None:
            log.advance(done - last[0])
            last[0] = done

        stage = self._stage
        return FeatureCache(
            encoder, files, folder, views=stage.views, crop=stage.crop, jitter=stage.jitter,
            seed=self._recipe.seed, below=self.below, report=report,
        )  # fmt: skip

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Batches of an epoch from step `first_step` on.

        Yields:
            B indices into the training pictures, as `Batch.pictures` has them; and of those in `share`, if any, what
            the cache holds of them on the CPU, or where the whole encoder runs B x S x S x 3 uint8 pictures on its
            device, and N x T words as `Batch.targets` has them, on the CPU.
        """
        groups = self._groups(epoch)[first_step:]
        shares = [group[self._share] for group in groups]
        read = self._cached_rows(epoch, shares) if self.cached else self._pictures_of(epoch, shares)
        for group, mine, inputs in zip(groups, shares, read, strict=True):
            picked = [picture for picture, _ in group]
            if not mine:
                yield picked, inputs, torch.empty(0, 0, dtype=torch.int64)
                continue
            yield picked, inputs, pad([caption for draw in mine for caption in self._captions(epoch, draw)])

    def _cached_rows(self, epoch: int, groups: Sequence[Sequence[Draw]]) -> Iterator[Tensor]:
        for group in groups:
            views = [self._chance(epoch, draw).randint(0, self._stage.views) for draw in group]
            rows = self._rows([self._files[picture] for picture, _ in group], views) if group else torch.empty(0)
            # Where nothing is seen all rows are the same, and captions may share them.
            yield rows[:1] if isinstance(self._encoder, BlindEncoder) else rows

    def _pictures_of(self, epoch: int, groups: Sequence[Sequence[Draw]]) -> Iterator[Tensor]:
        device = next(self._encoder.parameters()).device
        stage = self._stage
        pictures = _AugmentedPictures(self._files, self._size, stage.crop, stage.jitter, f"{self._key} {epoch}")
        for arrays in read_ahead(pictures, groups, device):
            yield arrays.to(device)

    def plain(self, files: Sequence[Path]) -> Tensor:
        """Regions B x R x D of pictures as they are, for evaluation, on the encoder's device."""
        if isinstance(self._encoder, BlindEncoder):
            return self._rows(files, [0] * len(files))
        device = next(self._encoder.parameters()).device
        if self.cached:
            rows = self._rows(files, [0] * len(files)).to(device)
            return rows if self.below is None else self._encoder.encode_from(rows, self.below)
        return _compute(self._encoder, files, self._size)

    def anchors(self, encoder: Encoder | None = None) -> Tensor:
        """Mean regions P x D, float32 on the CPU, of all training pictures as they are.

        Args:
            encoder: what gives the regions; by default the one that is trained, as it is.
        """
        parts = []
        for start in range(0, len(self._files), DRAWN_AT_ONCE):
            files = self._files[start : start + DRAWN_AT_ONCE]
            regions = self.plain(files) if encoder is None else _compute(encoder, files, self._size)
            parts.append(regions.mean(1, dtype=torch.float32).cpu())
        return torch.cat(parts)

    def _draws(self, source: random.Random) -> list[Draw]:
        """The pictures of an epoch, shuffled: of each data set its share, by turns of all its pictures."""
        if self._recipe.data.temperature == 1 or len(self._sources) == 1:
            shuffled = [(picture, 0) for picture in self._pictures]
        else:
            weights = [len(pictures) ** self._recipe.data.temperature for pictures in self._sources.values()]
            shuffled = []
            for pictures, weight in zip(self._sources.values(), weights, strict=True):
                wanted = round(len(self._pictures) * weight / sum(weights))
                turns, rest = divmod(wanted, len(pictures))
                shuffled += [(picture, turn) for turn in range(turns) for picture in pictures]
                shuffled += [(picture, turns) for picture in source.sample(pictures, rest)]
        source.shuffle(shuffled)
        return shuffled[: self.count]

    def _groups(self, epoch: int) -> list[list[Draw]]:
        """Shuffled batches whose captions are of like length, for padding costs as much as words."""
        source = random.Random(f"{self._key} {epoch} order")
        shuffled = self._draws(source)
        size, pool = self._stage.batch_size, self._stage.batch_size * BUCKET_BATCHES
        ordered: list[Draw] = []
        for start in range(0, len(shuffled), pool):
            ordered += sorted(
                shuffled[start : start + pool],
                key=lambda draw: max(map(len, self._captions(epoch, draw)), default=0),
            )
        groups = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        source.shuffle(groups)
        return groups

    def _captions(self, epoch: int, draw: Draw) -> list[list[int]]:
        """The captions, ends included, that a drawn picture is trained on in an epoch."""
        if not self._words:
            return []
        captions, count = self._references[draw[0]], self._stage.captions
        source = _source(f"{self._key} {epoch}", draw, "captions")
        drawn = source.sample(captions, min(count, len(captions)))
        drawn += source.choices(captions, k=count - len(drawn))
        return [target(caption, self._recipe.data.max_length) for caption in drawn]

    def _rows(self, files: Sequence[Path], views: Sequence[int]) -> Tensor:
        """What the cache holds of the pictures, each in its view; where nothing is seen, the regions of that."""
        if isinstance(self._encoder, BlindEncoder):
            rows: Tensor = self._encoder(torch.empty(len(files)))
            return rows
        return torch.cat([self._held[file].rows([file], [view]) for file, view in zip(files, views, strict=True)])

    def _chance(self, epoch: int, draw: Draw) -> random.Random:
        return _source(f"{self._key} {epoch}", draw, "view")


@dataclass(frozen=True)
class _AugmentedPictures:
    """What an epoch sees of pictures: S x S x 3 uint8 of each draw."""

    files: Sequence[Path]
    size: int
    crop: float
    jitter: float
    key: str

    def __call__(self, draw: Draw) -> UInt8Array:
        image = read_picture(self.files[draw[0]], at_least=2 * self.size)
        return augment(image, self.size, self.crop, self.jitter, _source(self.key, draw, "view"))


def _source(key: str, draw: Draw, what: str) -> random.Random:
    """Where the chance of a draw comes from, of an epoch that the key names."""
    picture, turn = draw
    return random.Random(f"{key} {picture} {turn} {what}" if turn else f"{key} {picture} {what}")


def _compute(encoder: Encoder, files: Sequence[Path], size: int) -> Tensor:
    """The encoder's regions of pictures as they are, on its device."""
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda file: read_array(file, size), files))
    regions: Tensor = encoder(torch.from_numpy(np.stack(arrays)).to(next(encoder.parameters()).device))
    return regions
