"""What a run trains on and what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from capcli.datasets import Dataset, Item
from capcli.datasets.dataset import is_held_out
from capcli.errors import DatasetError
from capcli.metrics.tokens import tokenize
from capcli.model.vocabulary import SPECIALS, Vocabulary
from capcli.training.recipe import DataRecipe


@dataclass(frozen=True)
class Corpus:
    """Training pictures with tokenised captions, and dev pictures by data set.

    Attributes:
        train: the training pictures.
        captions: tokens of each training picture's captions.
        dev: held-out pictures by name of the data set; the first one's CIDEr-D chooses the weights.
        compared: pictures by name of the data set that neither train nor choose, to tell models apart by.
        unlabelled: training pictures without captions.
    """

    train: tuple[Item, ...]
    captions: tuple[tuple[tuple[str, ...], ...], ...]
    dev: dict[str, tuple[Item, ...]]
    compared: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    unlabelled: tuple[Path, ...] = ()

    @classmethod
    def build(
        cls,
        datasets: Sequence[Dataset],
        recipe: DataRecipe,
        *,
        compare: bool = False,
        unlabelled: Sequence[Path] = (),
    ) -> Corpus:
        """Divides the data sets: train and unlisted pictures train, dev pictures judge, test pictures do neither.

        A data set without a dev split gives up the share `hold_out` of its training pictures. A picture that is in
        one data set's dev or test split is not trained on, whatever another says of it.

        Args:
            datasets: the first one's dev chooses.
            recipe: `[data]`.
            compare: use half of what data sets without a dev split give up for `compared`.
            unlabelled: pictures to train on without captions; those that a data set names are left out.

        Raises:
            DatasetError: if no picture is left to train on or to judge by, or none of `unlabelled` is.
        """
        train: list[Item] = []
        dev: dict[str, tuple[Item, ...]] = {}
        compared: dict[str, tuple[Item, ...]] = {}
        kept = {item.image.resolve() for data in datasets for item in data.items if item.split in ("dev", "test")}
        for dataset in datasets:
            usable = [i for i in dataset.items if i.split in ("train", "rest") and i.image.resolve() not in kept]
            judged = dataset.split("dev")
            if not judged:
                judged = tuple(item for item in usable if is_held_out(item.image, recipe.hold_out))
                usable = [item for item in usable if not is_held_out(item.image, recipe.hold_out)]
                if compare:
                    name = _unused(dataset.name, compared)
                    compared[name] = tuple(item for item in judged if is_held_out(item.image, recipe.hold_out / 2))
                    judged = tuple(item for item in judged if not is_held_out(item.image, recipe.hold_out / 2))
            if judged:
                dev[_unused(dataset.name, dev)] = judged
            train += usable
        if not train:
            raise DatasetError("the data sets hold no picture to train on; is everything in a dev or test split?")
        if not dev:
            raise DatasetError("no picture is left to judge by; add a dev split or raise [data] hold_out")
        captions = tuple(tuple(tuple(tokenize(caption)) for caption in item.captions) for item in train)
        named = {item.image.resolve() for dataset in datasets for item in dataset.items}
        others = {path.resolve(): path for path in unlabelled if path.resolve() not in named}
        if unlabelled and not others:
            raise DatasetError("the data sets name every unlabelled picture already; leave --unlabelled out")
        told = {name: items for name, items in compared.items() if items}
        return cls(tuple(train), captions, dev, told, tuple(others.values()))

    def vocabulary(self, min_count: int) -> Vocabulary:
        """Words of the training captions that occur at least `min_count` times; raises DatasetError if none do."""
        words = Vocabulary.build((caption for captions in self.captions for caption in captions), min_count)
        if len(words) == len(SPECIALS):
            raise DatasetError(f"no word occurs {min_count} times in the captions; lower [data] min_count")
        return words


def _unused(name: str, taken: dict[str, tuple[Item, ...]]) -> str:
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
