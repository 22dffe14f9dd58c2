"""Karpathy's JSON: images with their split and sentences, as in `dataset_flickr8k.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from capcli.datasets.dataset import (
    Dataset,
    gather,
    image_folders,
    locate,
    member,
    only,
    parse_json,
    read_text,
)
from capcli.errors import DatasetError

EXPECTS = "Karpathy JSON (dataset*.json)"

_SPLITS = {"train": "train", "restval": "train", "val": "dev", "test": "test"}


def recognises(path: Path) -> bool:
    """Whether `path` is a Karpathy JSON file or a folder that holds some `dataset*.json`."""
    if path.is_file():
        return path.suffix.lower() == ".json" and '"sentences"' in read_text(path)
    return any('"sentences"' in read_text(file) for file in path.glob("dataset*.json"))


def read(path: Path, *, missing_ok: bool = False) -> Dataset:
    """Reads a Karpathy JSON file, or the only `dataset*.json` of a folder.

    "val" becomes "dev" and "restval" becomes "train". Pictures lie beside the file or in one of the usual
    folders there, with or without the `filepath` that the file gives them.

    Raises:
        DatasetError: several files to choose from, broken JSON, entries without the keys the format has, an
            unknown split, missing pictures, or no captions.
    """
    source = path if path.is_file() else only(sorted(path.glob("dataset*.json")), path)
    if source is None:
        raise DatasetError(f"{path}: has no dataset*.json")
    return gather(source, _captioned(source), missing_ok=missing_ok)


def _captioned(file: Path) -> Iterator[tuple[Path, str, str]]:
    folders = image_folders(file.parent)
    images = member(parse_json(read_text(file), file), "images", list, file, "the file")
    for number, image in enumerate(images):
        where = f"images[{number}]"
        split = member(image, "split", str, file, where)
        if split not in _SPLITS:
            raise DatasetError(f"{file}: {where} has the unknown split {split!r} (known: {', '.join(_SPLITS)})")
        name = member(image, "filename", str, file, where)
        place = _place(name, image.get("filepath"), folders)
        for sentence in member(image, "sentences", list, file, where):
            yield place, _text(sentence, file, where), _SPLITS[split]


def _place(name: str, filepath: Any, folders: list[Path]) -> Path:
    place = locate(name, folders)
    if isinstance(filepath, str) and not place.is_file():
        return locate(str(PurePosixPath(filepath, name)), folders)
    return place


def _text(sentence: Any, file: Path, where: str) -> str:
    if isinstance(sentence, dict) and isinstance(sentence.get("raw"), str):
        return str(sentence["raw"])
    tokens = member(sentence, "tokens", list, file, f"a sentence of {where}")
    return " ".join(map(str, tokens))
