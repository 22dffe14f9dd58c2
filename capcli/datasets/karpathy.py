"""Karpathy's JSON: images with their split and sentences, as in `dataset_flickr8k.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from capcli.datasets.dataset import (
    Entry,
    image_folders,
    is_there,
    locate,
    member,
    only,
    parse_json,
    read_text,
)
from capcli.errors import DatasetError

EXPECTS = "Karpathy JSON (dataset*.json, with images that have sentences)"

_SPLITS = {"train": "train", "restval": "train", "val": "dev", "test": "test"}


def recognises(path: Path) -> bool:
    """Whether `path` is a Karpathy JSON file or a folder that holds some `dataset*.json`."""
    if path.is_file():
        return path.suffix.lower() == ".json" and '"sentences"' in read_text(path)
    return any('"sentences"' in read_text(file) for file in path.glob("dataset*.json"))


def entries(path: Path) -> Iterator[Entry]:
    """Reads a Karpathy JSON file, or the only `dataset*.json` of a folder.

    "val" becomes "dev" and "restval" becomes "train". Pictures lie beside the file or in one of the usual
    folders there, with or without the `filepath` that the file gives them.

    Raises:
        DatasetError: several files to choose from, broken JSON, entries without the keys the format has, or an unknown
            split.
    """
    file = path if path.is_file() else only(sorted(path.glob("dataset*.json")), path)
    folders = image_folders(file.parent)
    for number, image in enumerate(member(parse_json(read_text(file), file), "images", list, file, "the file")):
        where = f"images[{number}]"
        split = member(image, "split", str, file, where)
        if split not in _SPLITS:
            raise DatasetError(f"{file}: {where} has the unknown split {split!r} (known: {', '.join(_SPLITS)})")
        name = member(image, "filename", str, file, where)
        place = locate(name, folders)
        if isinstance(image.get("filepath"), str):
            name = str(PurePosixPath(image["filepath"], name))
            place = place if is_there(place) else locate(name, folders)
        sentences = member(image, "sentences", list, file, where)
        captions = [_text(sentence, file, where) for sentence in sentences]
        # Results on COCO go by COCO's number, those on Flickr by the place in the file.
        key = next((str(image[key]) for key in ("cocoid", "imgid") if isinstance(image.get(key), int)), None)
        yield Entry.of(f"{file}: {where}", name, place, captions, _SPLITS[split], key)


def _text(sentence: object, file: Path, where: str) -> str:
    if isinstance(sentence, dict) and isinstance(sentence.get("raw"), str):
        return str(sentence["raw"])
    return " ".join(map(str, member(sentence, "tokens", list, file, f"a sentence of {where}")))
