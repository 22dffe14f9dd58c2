"""What several systems said about the same pictures, brought together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from capcli.datasets.dataset import is_there, locate, number_of
from capcli.errors import UsageError
from capcli.evaluation.pairing import match
from capcli.evaluation.predictions import Prediction, read_predictions
from capcli.evaluation.references import Reference, References
from capcli.ratings.questions import Candidates
from capcli.words.counting import count_of


@dataclass(frozen=True)
class Systems:
    """Pictures of which every system has a caption.

    Attributes:
        names: of the systems: their files.
        pictures: in the order of the first file.
        notes: what was left out, a line each.
    """

    names: tuple[str, ...]
    pictures: tuple[Candidates, ...]
    notes: tuple[str, ...]


def read_systems(files: Sequence[Path], folder: Path | None = None, *, need_pictures: bool = True) -> Systems:
    """Reads files of captions of the same pictures, in any format of `read_predictions`.

    Args:
        files: at least one; each is a system, known by its name, or by its path where two have one name.
        folder: where the pictures are; by default where the rows say, seen from here or from beside the files.
        need_pictures: look for the pictures, and leave out those that are not there.

    Raises:
        DatasetError: a file cannot be read.
        UsageError: a file is named twice, a picture has two captions in one file, or no picture is left.
    """
    names = _names(files)
    predictions = {name: read_predictions(file) for name, file in zip(names, files, strict=True)}
    places, captions = _join(files[0], predictions)
    folders = [folder] if folder else list(dict.fromkeys((Path(), *(file.parent for file in files))))
    pictures, notes, gone = [], [], []
    for place, (image, spellings) in enumerate(places):
        if any(place not in of_system for of_system in captions.values()):
            continue
        path = Path(image)
        if need_pictures:
            found = next(filter(is_there, (locate(name, folders) for name in spellings)), None)
            if found is None:
                gone.append(image)
                continue
            path = found
        pictures.append(Candidates(image, path, {name: captions[name][place] for name in names}))
    for name, file in zip(names, files, strict=True):
        lacking = [image for place, (image, _) in enumerate(places) if place not in captions[name]]
        if lacking:
            how_many = count_of(len(lacking), "picture")
            notes.append(f"{file}: has no caption of {how_many}, left out of the rating, first {lacking[0]}")
    if gone:
        notes.append(f"{count_of(len(gone), 'picture', 'is', 'are')} not on the disk and left out, first {gone[0]}")
    if not pictures:
        advice = "; --pictures names their folder" if gone else ""
        raise UsageError(f"no picture is left to rate: {'; '.join(notes)}{advice}")
    return Systems(names, tuple(pictures), tuple(notes))


def _names(files: Sequence[Path]) -> tuple[str, ...]:
    real = [os.path.realpath(file) for file in files]
    for place, file in enumerate(files):
        if real[place] in real[:place]:
            raise UsageError(f"{file} is named twice; name each file of captions once")
    short = [file.name for file in files]
    return tuple(short if len(set(short)) == len(short) else map(str, files))


def _join(
    first: Path, predictions: Mapping[str, Sequence[Prediction]]
) -> tuple[list[tuple[str, list[str]]], dict[str, dict[int, str]]]:
    """All pictures, each by the name that ratings know it by and by all its spellings; and each system's captions."""
    leading = next(iter(predictions.values()))
    origins: dict[str, str] = {}
    for prediction in leading:
        where = origins.setdefault(prediction.names[0], prediction.where)
        if where != prediction.where:
            raise UsageError(f"two captions of {prediction.names[0]}: {where} and {prediction.where}; leave one")
    # The first system's rows stand for the references that captions are usually matched with.
    items = tuple(_as_reference(prediction) for prediction in leading)
    places = {id(item): place for place, item in enumerate(items)}
    spellings = [list(prediction.names) for prediction in leading]
    first_name, *others = predictions
    captions = {
        first_name: {
            place: prediction.caption for place, prediction in enumerate(leading) if prediction.caption is not None
        }
    }
    more: dict[str, list[str]] = {}
    of_more: dict[str, int] = {}
    for name in others:
        matching = match(References(first, first.stem, None, items), predictions[name])
        captions[name] = {}
        for pair in matching.pairs:
            place = places[id(pair.reference)]
            captions[name][place] = pair.caption
            spellings[place] += pair.prediction.names
        # The first system has no row for these, so that they are only reported.
        for other in matching.unreferenced:
            if other.caption is not None:
                more.setdefault(other.names[0], list(other.names))
                captions[name][of_more.setdefault(other.names[0], len(items) + len(of_more))] = other.caption
    named = [
        (min(names, key=lambda spelling: (len(spelling), spelling)), list(dict.fromkeys(names))) for names in spellings
    ]
    return named + list(more.items()), captions


def _as_reference(prediction: Prediction) -> Reference:
    number = next((name for name in prediction.names if number_of(name)), None)
    name = next((name for name in prediction.names if not number_of(name)), prediction.names[0])
    return Reference(name, (prediction.caption or "",), id=number)
