"""COCO caption annotations: one JSON file of images and annotations that refer to them by id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from capcli.datasets.dataset import Entry, image_folders, locate, member, number_of, parse_json, read_text
from capcli.errors import DatasetError

EXPECTS = "COCO (captions*.json, or annotations/captions_*.json, with images and annotations)"

_COCO_FOLDERS = ("train2014", "val2014", "train2017", "val2017")


def recognises(path: Path) -> bool:
    """Whether `path` is a COCO JSON file or a folder that holds caption files by COCO's names."""
    if path.is_file():
        # Looking for the key is enough: a broken file is then reported by `entries`, with its line.
        return path.suffix.lower() == ".json" and '"annotations"' in read_text(path)
    return bool(_caption_files(path))


def entries(path: Path) -> Iterator[Entry]:
    """Reads a COCO caption file, or all those of a folder.

    A file's split is "dev" where its name says "val", "test" where it says "test", "train" where it says "train", and
    "train" where another file of the folder has a split. Pictures lie beside the file or in `images/`, `train2017/`,
    `val2014/` and the like; for a file in `annotations/`, beside that folder.

    Raises:
        DatasetError: broken JSON, entries without the keys COCO has, or two images with one id.
    """
    files = [path] if path.is_file() else _caption_files(path)
    splits = [_split(file) for file in files]
    default = "train" if any(splits) else None
    return chain.from_iterable(_read(file, split or default) for file, split in zip(files, splits, strict=True))


def _caption_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("captions*.json")) or sorted(folder.glob("annotations/captions_*.json"))


def _read(file: Path, split: str | None) -> Iterator[Entry]:
    content = parse_json(read_text(file), file)
    images = member(content, "images", list, file, "the file")
    captions: dict[str, list[str]] = {}
    for number, image in enumerate(images):
        key = _id(image, "id", file, f"images[{number}]")
        if key in captions:
            raise DatasetError(f"{file}: two images have the id {key}")
        captions[key] = []
    for number, annotation in enumerate(member(content, "annotations", list, file, "the file")):
        where = f"annotations[{number}]"
        key = _id(annotation, "image_id", file, where)
        if key not in captions:
            raise DatasetError(f"{file}: {where} is about image {key}, which is not among the images")
        captions[key].append(member(annotation, "caption", str, file, where))
    folders = _folders(file)
    for number, (image, (key, texts)) in enumerate(zip(images, captions.items(), strict=True)):
        # Annotations that come without pictures may know them by their ids alone.
        name = image.get("file_name")
        name = name if isinstance(name, str) else key
        yield Entry.of(f"{file}: images[{number}]", name, locate(name, folders), texts, split, key)


def _id(record: object, key: str, file: Path, where: str) -> str:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, int | float | str):
        raise DatasetError(f"{file}: {where} has no {key!r}")
    return number_of(str(value)) or str(value)


def _folders(file: Path) -> list[Path]:
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    roots = image_folders(root)
    # captions_train2014.json names its own folder, which goes first.
    named = file.stem.rpartition("_")[2]
    return roots + [base / name for name in (named, *_COCO_FOLDERS) for base in roots if (base / name).is_dir()]


def _split(file: Path) -> str | None:
    named = re.search(r"(?<![a-z])(train|val|test)(?![a-z])", file.stem.lower())
    return {"train": "train", "val": "dev", "test": "test"}[named[1]] if named else None
