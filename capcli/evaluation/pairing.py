"""Predictions and references of the same images, brought together by id or by file name."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from capcli.datasets.dataset import number_of
from capcli.errors import UsageError
from capcli.evaluation.predictions import Prediction
from capcli.evaluation.references import Reference, References
from capcli.files.names import escape
from capcli.pictures.kinds import EXTENSIONS
from capcli.words.counting import agree, count_of


@dataclass(frozen=True)
class Pair:
    """An image with its references and what a model said about it."""

    reference: Reference
    prediction: Prediction
    caption: str


@dataclass(frozen=True)
class Matching:
    """Who has whom.

    Attributes:
        pairs: images with references and a caption, in the order of the references; at least one.
        failed: images whose prediction is an error.
        unpredicted: images with references that no prediction is about.
        unreferenced: predictions about images without references.
    """

    pairs: tuple[Pair, ...]
    failed: tuple[Prediction, ...] = ()
    unpredicted: tuple[Reference, ...] = ()
    unreferenced: tuple[Prediction, ...] = ()

    @property
    def missing(self) -> str:
        """What cannot be scored, in words; empty if all can."""
        reasons = []
        if self.failed:
            first = self.failed[0]
            reasons.append(f"{count_of(len(self.failed), 'image')} could not be captioned, first {first.names[0]}")
        if self.unpredicted:
            count = len(self.unpredicted)
            reasons.append(
                f"{count_of(count, 'image')} with references {agree(count, 'has', 'have')} no prediction, "
                f"first {self.unpredicted[0].name}"
            )
        if self.unreferenced:
            first = self.unreferenced[0]
            reasons.append(
                f"{count_of(len(self.unreferenced), 'prediction', 'has', 'have')} no references, "
                f"first {first.names[0]} ({first.where})"
            )
        return "; ".join(reasons)


def match(references: References, predictions: Sequence[Prediction]) -> Matching:
    """Finds each prediction's image.

    A number, 3.0 for 3 too, is looked up among the ids, and where the source has none, among the twelve digits that end
    the names of COCO's pictures. A file name must be equal; else the images of the same name in any folder count: one
    alone is taken, of several the one whose folders agree. Where one side leaves out the ending of a picture's name,
    the rest must be equal.

    Raises:
        UsageError: if a name fits several images, two predictions are about one image, or none is about any.
    """
    index = _Index(references.items)
    found: dict[int, Prediction] = {}
    unreferenced = []
    for prediction in predictions:
        place = index.find(prediction)
        if place is None or not references.items[place].captions:
            unreferenced.append(prediction)
            continue
        other = found.setdefault(place, prediction)
        if other is not prediction:
            raise UsageError(
                f"two predictions for {references.items[place].name}: {other.where} and {prediction.where}; leave one"
            )
    pairs, failed, unpredicted = [], [], []
    for place, item in enumerate(references.items):
        if place not in found:
            if item.captions:
                unpredicted.append(item)
        elif (caption := found[place].caption) is None:
            failed.append(found[place])
        else:
            pairs.append(Pair(item, found[place], caption))
    if not found:
        raise UsageError(
            f"{references.source}: no prediction is about any of its images; it has "
            f"{references.items[0].name}, {predictions[0].where} is about {predictions[0].names[0]}"
        )
    if not pairs:
        raise UsageError(f"{references.source}: none of its images has a caption, {failed[0].where}: {failed[0].error}")
    return Matching(tuple(pairs), tuple(failed), tuple(unpredicted), tuple(unreferenced))


class _Index:
    """Places of references by all that may name them."""

    def __init__(self, references: Sequence[Reference]) -> None:
        self._references = references
        self._ids: defaultdict[str, list[int]] = defaultdict(list)
        self._names: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        self._files: defaultdict[str, list[int]] = defaultdict(list)
        self._stems: defaultdict[str, list[int]] = defaultdict(list)
        for place, reference in enumerate(references):
            parts = _parts(reference.name)
            self._names[parts].append(place)
            self._files[parts[-1]].append(place)
            self._stems[_stem(parts[-1])].append(place)
            if reference.image is not None and (full := _parts(str(reference.image))) != parts:
                self._names[full].append(place)
            number = reference.id if reference.id is not None else _coco_number(parts[-1])
            if number is not None:
                self._ids[_number(number)].append(place)

    def find(self, prediction: Prediction) -> int | None:
        places = {place for name in prediction.names if (place := self._find(name, prediction.where)) is not None}
        if len(places) > 1:
            named = " and ".join(prediction.names)
            raise UsageError(f"{prediction.where}: {named} are two different images of the references")
        return next(iter(places), None)

    def _find(self, name: str, where: str) -> int | None:
        # A data frame makes 3.0 of the number 3, and in a path of Windows `\t` may have been read as a tab.
        for spelling in dict.fromkeys((name, number_of(name) or name, escape(name))):
            parts = _parts(spelling)
            if places := self._places(spelling, parts):
                break
        if len(places) > 1:
            agreeing = [place for place in places if _agree(parts, _parts(self._references[place].name))]
            places = agreeing or places
        if len(places) > 1:
            fitting = " and ".join(self._references[place].name for place in places[:2])
            raise UsageError(f"{where}: {name} fits {len(places)} images, such as {fitting}; name more of its folders")
        return places[0] if places else None

    def _places(self, name: str, parts: tuple[str, ...]) -> list[int]:
        places = self._ids.get(_number(name)) or self._names.get(parts) or self._files.get(parts[-1])
        if places is None:
            stem = _stem(parts[-1])
            # Two endings that differ are two pictures.
            places = (self._stems if stem == parts[-1] else self._files).get(stem, [])
        return places


def _parts(name: str) -> tuple[str, ...]:
    # Predictions may come from another system: Windows parts folders by \, and macOS decomposes accents.
    return tuple(part for part in re.split(r"[/\\]+", unicodedata.normalize("NFC", name)) if part not in ("", ".")) or (
        "",
    )


def _stem(file: str) -> str:
    stem, dot, ending = file.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in EXTENSIONS else file


def _agree(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    shorter = min(len(some), len(others))
    return [*map(_stem, some[-shorter:])] == [*map(_stem, others[-shorter:])]


def _number(name: str) -> str:
    return name.lstrip("0") or "0" if name.isdecimal() else name


def _coco_number(file: str) -> str | None:
    found = re.search(r"(?:^|_)(\d{12})\.\w+$", file)
    return found[1] if found else None
