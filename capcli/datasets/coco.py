"""COCO caption annotations: one JSON file of images and annotations that refer to them by id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from capcli.datasets.dataset import Dataset, gather, image_folders, locate, member, parse_json, read_text
from capcli.errors import DatasetError

EXPECTS = "COCO (captions*.json, or annotations/captions_*.json)"

_COCO_FOLDERS = ("train2014", "val2014", "train2017", "val2017")


def recognises(path: Path) -> bool:
    """Whether `path` is a COCO JSON file or a folder that holds caption files by COCO's names."""
    if path.is_file():
        # Looking for the key is enough: a broken file is then reported by `read`, with its line.
        return path.suffix.lower() == ".json" and '"annotations"' in read_text(path)
    return bool(_caption_files(path))


def read(path: Path, *, missing_ok: bool = False) -> Dataset:
    """Reads a COCO caption file, or all those of a folder.

    A file's split is "dev" where its name says "val", "test" where it says "test", else "train". Pictures
    lie beside the file or in `images/`, `train2017/`, `val2014/` and the like; for a file in `annotations/`,
    beside that folder.

    Raises:
        DatasetError: broken JSON, entries without the keys COCO has, missing pictures, or no captions.
    """
    files = [path] if path.is_file() else _caption_files(path)
    if not files:
        raise DatasetError(f"{path}: has neither captions*.json nor annotations/captions_*.json")
    return gather(path, chain.from_iterable(map(_captioned, files)), missing_ok=missing_ok)


def _caption_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("captions*.json")) or sorted(folder.glob("annotations/captions_*.json"))


def _captioned(file: Path) -> Iterator[tuple[Path, str, str]]:
    content = parse_json(read_text(file), file)
    images = member(content, "images", list, file, "the file")
    annotations = member(content, "annotations", list, file, "the file")
    captions: dict[int | str, list[str]] = {}
    for number, image in enumerate(images):
        captions[_key(image, "id", file, f"images[{number}]")] = []
    for number, annotation in enumerate(annotations):
        where = f"annotations[{number}]"
        key = _key(annotation, "image_id", file, where)
        if key not in captions:
            raise DatasetError(f"{file}: {where} is about image {key}, which is not among the images")
        captions[key].append(member(annotation, "caption", str, file, where))
    folders, split = _folders(file), _split(file)
    for number, image in enumerate(images):
        name = member(image, "file_name", str, file, f"images[{number}]")
        if texts := captions[image["id"]]:
            place = locate(name, folders)
            yield from ((place, text, split) for text in texts)


def _key(record: object, key: str, file: Path, where: str) -> int | str:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, int | str):
        raise DatasetError(f"{file}: {where} has no {key!r}")
    return value


def _folders(file: Path) -> list[Path]:
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    roots = image_folders(root)
    # captions_train2014.json names its own folder, which goes first.
    named = file.stem.rpartition("_")[2]
    return roots + [base / name for name in (named, *_COCO_FOLDERS) for base in roots if (base / name).is_dir()]


def _split(file: Path) -> str:
    named = re.search(r"(?<![a-z])(val|test)(?![a-z])", file.stem.lower())
    return {"val": "dev", "test": "test"}[named[1]] if named else "train"
