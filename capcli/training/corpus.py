"""What a run trains on and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from capcli.datasets import Dataset, Item
from capcli.datasets.dataset import is_held_out, is_held_out_sentence
from capcli.errors import DatasetError, UsageError
from capcli.training.recipe import DataRecipe
from capcli.words.counting import count_of
from capcli.words.tokens import tokenize
from capcli.words.vocabulary import SPECIALS, Vocabulary


@dataclass(frozen=True)
class Corpus:
    """Training pictures with tokenised captions, and dev pictures by data set.

    In a corpus of sentences every sentence stands in the place of a picture and is its own only caption.

    Attributes:
        train: the training pictures.
        captions: tokens of each training picture's captions.
        dev: held-out pictures by name of the data set; the first one's score chooses the weights.
        compared: pictures by name of the data set that neither train nor choose, to tell models apart by.
        unlabelled: training pictures without captions.
        sources: of each training picture the number of its data set, from 0.
        sentences: tokens of sentences without pictures, for the decoder alone.
        choosing: names of the data sets in `dev` whose mean score chooses the weights.
    """

    train: tuple[Item, ...]
    captions: tuple[tuple[tuple[str, ...], ...], ...]
    dev: dict[str, tuple[Item, ...]]
    compared: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    unlabelled: tuple[Path, ...] = ()
    sources: tuple[int, ...] = ()
    sentences: tuple[tuple[str, ...], ...] = ()
    choosing: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        datasets: Sequence[Dataset],
        recipe: DataRecipe,
        *,
        compare: bool = False,
        unlabelled: Sequence[Path] = (),
        with_sentences: bool = False,
    ) -> Corpus:
        """Divides the data sets: train and unlisted pictures train, dev pictures judge, test pictures do neither.

        A data set without a dev split gives up the share `hold_out` of its training pictures. A picture that judges, or
        is in one data set's test split, is not trained on, whatever another says of it.

        Args:
            datasets: the first one's dev chooses, unless the recipe names others.
            recipe: `[data]`.
            compare: use half of what data sets without a dev split give up for `compared`.
            unlabelled: pictures to train on without captions; those that a data set names are left out.
            with_sentences: take data sets of sentences without pictures, for a stage that trains on them.

        Raises:
            UsageError: for a data set of sentences that no stage trains on, and a name in `choose_by` that is none of a
                data set with dev pictures.
            DatasetError: if no picture is left to train on or to judge by, or none of `unlabelled` is.
        """
        texts = [dataset for dataset in datasets if not dataset.pictures]
        if texts and not with_sentences:
            raise UsageError(
                f"{texts[0].name}: holds sentences without pictures, and no stage of the recipe trains on them; take a "
                "recipe with objective = 'language', or data with pictures"
            )
        datasets = [dataset for dataset in datasets if dataset.pictures]
        train, dev, compared = _divided(
            datasets, lambda item, share: is_held_out(item.image, share), recipe.hold_out, "picture", compare=compare
        )
        # Also what one data set has by chance held out, and another trains on.
        judged = {item.image.resolve() for items in (*dev.values(), *compared.values()) for item in items}
        train = [item for item in train if item.image.resolve() not in judged]
        if not train:
            raise DatasetError("every picture to train on is one to judge by as well; add other data")
        captions = tuple(tuple(tuple(tokenize(caption)) for caption in item.captions) for item in train)
        named = {item.image.resolve() for dataset in datasets for item in dataset.items}
        others = {path.resolve(): path for path in unlabelled if path.resolve() not in named}
        if unlabelled and not others:
            raise DatasetError("the data sets name every unlabelled picture already; leave --unlabelled out")
        number = {item.image: number for number, dataset in enumerate(datasets) for item in dataset.items}
        sentences = tuple(tuple(tokenize(item.captions[0])) for text in texts for item in text.items)
        return cls(
            tuple(train), captions, dev, compared, tuple(others.values()), tuple(number[item.image] for item in train),
            tuple(filter(None, sentences)), _choosing(recipe, dev),
        )  # fmt: skip

    @classmethod
    def of_sentences(cls, datasets: Sequence[Dataset], recipe: DataRecipe) -> Corpus:
        """Every sentence of texts, and every caption of pictures, which are not opened, for itself.

        They are divided as `build` divides pictures, with a hash of its words in the place of a picture's name. A
        sentence that some data set is judged by is nowhere trained on; sentences without words are left out.

        Raises:
            DatasetError: if no sentence is left to train on or to judge by.
        """
        words: dict[str, tuple[str, ...]] = {}
        for caption in (caption for data in datasets for item in data.items for caption in item.captions):
            if caption not in words:
                words[caption] = tuple(tokenize(caption))
        single = [
            replace(
                dataset,
                items=tuple(
                    replace(item, captions=(caption,))
                    for item in dataset.items
                    for caption in item.captions
                    if words[caption]
                ),
            )
            for dataset in datasets
        ]
        train, dev, _ = _divided(
            single,
            lambda item, share: is_held_out_sentence(words[item.captions[0]], share),
            recipe.hold_out,
            "sentence",
        )
        judged = {words[item.captions[0]] for items in dev.values() for item in items}
        train = [item for item in train if words[item.captions[0]] not in judged]
        if not train:
            raise DatasetError("every sentence to train on is one to judge by as well; add other data")
        captions = tuple((words[item.captions[0]],) for item in train)
        return cls(tuple(train), captions, dev, sources=(0,) * len(train), choosing=_choosing(recipe, dev))

    @property
    def fitting(self) -> list[tuple[Item, ...]]:
        """Pictures to fit the confidence to, by data set: those that choose weights, and those that only compare."""
        choosing = self.choosing or tuple(self.dev)[:1]
        names = dict.fromkeys((*choosing, *self.compared))
        return [(*self.compared.get(name, ()), *(self.dev[name] if name in choosing else ())) for name in names]

    def as_sentences(self, vocabulary: Vocabulary) -> Corpus:
        """The sentences and every training caption, each for itself, without those that hold unknown words."""
        captions = [caption for captions in self.captions for caption in captions]
        known = [words for words in (*self.sentences, *captions) if words and all(word in vocabulary for word in words)]
        nowhere = Item(Path(), (), "train")
        return replace(
            self,
            train=(nowhere,) * len(known),
            captions=tuple((words,) for words in known),
            sources=(0,) * len(known),
            unlabelled=(),
        )

    @property
    def pictures(self) -> list[Path]:
        """Files of the training and the dev pictures, each once."""
        judged = [item.image for items in self.dev.values() for item in items]
        return list(dict.fromkeys([item.image for item in self.train] + judged))

    def vocabulary(self, min_count: int) -> Vocabulary:
        """Words of the training captions that occur at least `min_count` times; raises DatasetError if none do."""
        words = Vocabulary.build((caption for captions in self.captions for caption in captions), min_count)
        if len(words) == len(SPECIALS):
            raise DatasetError(f"no word occurs {min_count} times in the captions; lower [data] min_count")
        return words


def _divided(
    datasets: Sequence[Dataset],
    held_out: Callable[[Item, float], bool],
    share: float,
    what: str,
    *,
    compare: bool = False,
) -> tuple[list[Item], dict[str, tuple[Item, ...]], dict[str, tuple[Item, ...]]]:
    """What to train on, to judge by and to compare with, as `Corpus.build` says.

    Args:
        datasets: of pictures or sentences.
        held_out: whether an item is among so large a share of those without a dev split; a larger one holds it too.
        share: that is held out.
        what: an item is, for errors.
        compare: use half of the share for comparison.

    Raises:
        DatasetError: if nothing is left to train on or to judge by.
    """
    train: list[Item] = []
    trainable = 0
    dev: dict[str, tuple[Item, ...]] = {}
    compared: dict[str, tuple[Item, ...]] = {}
    kept = {item.image.resolve() for data in datasets for item in data.items if item.split in ("dev", "test")}
    for dataset in datasets:
        usable = [i for i in dataset.items if i.split in ("train", "rest") and i.image.resolve() not in kept]
        trainable += len(usable)
        judged = dataset.split("dev")
        if not judged:
            judged = tuple(item for item in usable if held_out(item, share))
            usable = [item for item in usable if not held_out(item, share)]
            if compare:
                apart = tuple(item for item in judged if held_out(item, share / 2))
                judged = tuple(item for item in judged if not held_out(item, share / 2))
                if apart:
                    compared[_unused(dataset.name, compared)] = apart
        if judged:
            dev[_unused(dataset.name, dev)] = judged
        train += usable
    if not train and trainable:
        raise DatasetError(
            f"no {what} is left to train on: {count_of(trainable, what)} kept out to judge by; add more, or lower "
            "[data] hold_out"
        )
    if not train:
        raise DatasetError(f"the data sets hold no {what} to train on; is everything in a dev or test split?")
    if not dev:
        raise DatasetError(f"no {what} is left to judge by; add a dev split or raise [data] hold_out")
    return train, dev, compared


def _choosing(recipe: DataRecipe, dev: Mapping[str, Sequence[Item]]) -> tuple[str, ...]:
    for name in recipe.choose_by:
        if name not in dev:
            raise UsageError(
                f"[data] choose_by: no data set with dev pictures is named {name!r}; {', '.join(dev)} are: "
                "add a folder of that name by --data, or name others in a copy of the recipe"
            )
    return recipe.choose_by or (next(iter(dev)),)


def _unused(name: str, taken: dict[str, tuple[Item, ...]]) -> str:
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
