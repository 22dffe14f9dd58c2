"""What people wrote about images, from annotation files without their pictures or from whole datasets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from capcli.datasets import Item, flickr8k, read_dataset
from capcli.datasets.dataset import image_folders, is_held_out, locate, member, parse_json, read_lines, read_text
from capcli.errors import DatasetError, UsageError
from capcli.evaluation.records import CAPTION_KEYS, Record, json_array, read_records

_ROWS = (".csv", ".jsonl", ".ndjson")
_SPLITS = {"val": "dev", "validation": "dev", "restval": "train"}
_EXPECTS = (
    "COCO JSON (images and annotations)",
    "Karpathy JSON (images with sentences)",
    "a JSON object {image: [captions]}",
    "a JSON array, JSON lines or CSV with image and caption or captions",
)


@dataclass(frozen=True)
class Reference:
    """One image and what people wrote about it.

    Attributes:
        name: its file name in the source, with as much of the folders as the source gives.
        captions: on one line each, blank ones left out; possibly none.
        id: its number in the source, where it has one.
        image: the file, where it is there.
        split: "train", "dev", "test" or "rest"; None where the source has no splits.
    """

    name: str
    captions: tuple[str, ...]
    id: str | None = None
    image: Path | None = None
    split: str | None = None


@dataclass(frozen=True)
class References:
    """Images with their references, in the order of the source.

    Attributes:
        source: the file or folder.
        name: of the dataset, for people.
        split: the one that was chosen; None where the source has none, "all" for all of several.
        items: the images of that split.
    """

    source: Path
    name: str
    split: str | None
    items: tuple[Reference, ...]

    def held_out(self, share: float) -> References:
        """The images that training leaves out of a dataset without a dev split, see `is_held_out`.

        Raises:
            UsageError: if there is a dev split, which is what is left out then, or no image is left out.
        """
        if any(item.split == "dev" for item in self.items):
            raise UsageError(f"{self.source}: has a dev split, which is what training holds out: --split dev")
        items = tuple(
            item for item in self.items if item.split != "test" and is_held_out(item.image or Path(item.name), share)
        )
        if not items:
            raise UsageError(f"{self.source}: the model's training held out {share:.0%} of the images, which are none")
        return References(self.source, self.name, "held-out", items)


_Make = Callable[..., Reference]


def read_references(path: Path, split: str | None = None) -> References:
    """Reads the references of a split from an annotation file, whose pictures need not be there, or from a dataset.

    Args:
        path: a COCO captions JSON, a Karpathy JSON, a JSON object of image to captions, rows (JSON lines, JSON array
            or CSV) with `image` and `caption` or `captions`, or anything that `read_dataset` reads.
        split: "test", "dev", "train" or "all"; by default the only one that there is, or else "test".

    Raises:
        DatasetError: nothing is there, it is broken (with the line), or nothing of this knows it.
        UsageError: if there is no such split.
    """
    path = path.expanduser()
    if path.is_file() and path.suffix.lower() in (".json", *_ROWS):
        return _chosen(path, path.stem, tuple(_read_file(path)), split)
    return dataset_references(path, split, missing_ok=True)


def dataset_references(path: Path, split: str | None = None, *, missing_ok: bool = False) -> References:
    """As `read_references`, but every image is there unless `missing_ok`; raises DatasetError if not."""
    dataset = read_dataset(path, missing_ok=missing_ok)
    named = zip(_names(dataset.items), dataset.items, strict=True)
    items = (
        Reference(name, item.captions, None, item.image if item.image.is_file() else None, item.split)
        for name, item in named
    )
    return _chosen(path, dataset.name, tuple(items), split)


def read_training_captions(path: Path) -> frozenset[str]:
    """All captions of a `.txt` file with one a line, or those of references, of split "train" where there are several.

    Raises:
        DatasetError: as `read_references`, or if there are none.
        UsageError: if there are several splits and none is "train".
    """
    if path.suffix.lower() == ".txt" and path.is_file() and not flickr8k.recognises(path):
        captions = frozenset(line for _, line in read_lines(path))
        if not captions:
            raise DatasetError(f"{path}: has no captions")
        return captions
    references = read_references(path, "all")
    items = references.items
    if references.split == "all":
        items = tuple(item for item in items if item.split == "train")
        if not items:
            raise UsageError(f"{path}: has no train split; name a file of the training captions alone")
    return frozenset(caption for item in items for caption in item.captions)


def _chosen(source: Path, name: str, items: tuple[Reference, ...], split: str | None) -> References:
    if not any(item.captions for item in items):
        raise DatasetError(f"{source}: has no captions")
    there = Counter(item.split for item in items)
    if split == "all" or (split is None and len(there) == 1):
        return References(source, name, next(iter(there)) if len(there) == 1 else "all", items)
    wanted = split or "test"
    if wanted not in there:
        known = ", ".join(f"{key} ({count:,})" for key, count in there.items() if key is not None)
        advice = f"its images are in {known}: choose with --split" if known else "it has no splits: --split all"
        raise UsageError(f"{source}: has no {wanted} split; {advice}")
    return References(source, name, wanted, tuple(item for item in items if item.split == wanted))


def _names(items: Iterable[Item]) -> list[str]:
    """File names; with their folders where two would be equal."""
    images = [item.image for item in items]
    names = [image.name for image in images]
    return names if len(set(names)) == len(names) else [image.as_posix() for image in images]


def _read_file(path: Path) -> Iterator[Reference]:
    folders = image_folders(path.parent)
    if path.parent.name == "annotations":
        folders += image_folders(path.parent.parent)

    def reference(name: str, captions: Iterable[str], id: str | None = None, split: str | None = None) -> Reference:
        place = locate(name, folders)
        texts = (" ".join(caption.split()) for caption in captions)
        kept = tuple(text for text in texts if text)
        return Reference(name, kept, id, place if place.is_file() else None, _SPLITS.get(split or "", split))

    if path.suffix.lower() in _ROWS:
        return _rows(read_records(path), reference)
    content = parse_json(read_text(path), path)
    if isinstance(content, list):
        return _rows(json_array(content, path), reference)
    if isinstance(content, dict) and "annotations" in content:
        return _coco(content, path, reference)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        return _karpathy(content, path, reference)
    if isinstance(content, dict) and content and all(_captions(value) is not None for value in content.values()):
        return _mapping(path, reference)
    raise DatasetError(f"{path}: holds no references; tried {', '.join(_EXPECTS)}")


def _rows(records: list[Record], reference: _Make) -> Iterator[Reference]:
    captions: dict[tuple[str, ...], list[str]] = {}
    splits: dict[tuple[str, ...], str | None] = {}
    for record in records:
        names = record.names()
        captions.setdefault(names, []).extend(_row_captions(record))
        split = str(record.fields.get("split") or "").strip().lower() or None
        if splits.setdefault(names, split) != split:
            raise DatasetError(f"{record.where}: {names[0]} is in two splits, {splits[names]} and {split}")
    for names, texts in captions.items():
        number = next((name for name in names if name.isdecimal()), None)
        name = next((name for name in names if not name.isdecimal()), names[0])
        yield reference(name, texts, number, splits[names])


def _row_captions(record: Record) -> list[str]:
    value = record.fields.get("captions")
    if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a CSV
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DatasetError(f"{record.where}: its captions are no JSON list ({error})") from None
    if value is None:
        caption = record.caption()
        if caption is None:
            raise DatasetError(f"{record.where}: has neither {' nor '.join((*CAPTION_KEYS, 'captions'))}")
        return [caption]
    captions = _captions(value)
    if captions is None:
        raise DatasetError(f"{record.where}: its captions are no list of texts")
    return captions


def _captions(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) and all(isinstance(text, str) for text in value) else None


def _mapping(path: Path, reference: _Make) -> Iterator[Reference]:
    # Read as pairs, because of two equal keys a dict keeps the last one only.
    seen: set[str] = set()
    for name, value in json.loads(read_text(path), object_pairs_hook=list):
        if name in seen:
            raise DatasetError(f"{path}: {name} is there twice; put its captions into one list")
        seen.add(name)
        yield reference(name, _captions(value), name if name.isdecimal() else None)


def _coco(content: Any, path: Path, reference: _Make) -> Iterator[Reference]:
    images = member(content, "images", list, path, "the file")
    captions: dict[str, list[str]] = {}
    for number, image in enumerate(images):
        key = _id(image, "id", path, f"images[{number}]")
        if key in captions:
            raise DatasetError(f"{path}: two images have the id {key}")
        captions[key] = []
    for number, annotation in enumerate(member(content, "annotations", list, path, "the file")):
        where = f"annotations[{number}]"
        key = _id(annotation, "image_id", path, where)
        if key not in captions:
            raise DatasetError(f"{path}: {where} is about image {key}, which is not among the images")
        captions[key].append(member(annotation, "caption", str, path, where))
    for image, (key, texts) in zip(images, captions.items(), strict=True):
        name = image.get("file_name")
        yield reference(name if isinstance(name, str) else key, texts, key)


def _id(record: Any, key: str, path: Path, where: str) -> str:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, int | str):
        raise DatasetError(f"{path}: {where} has no {key!r}")
    return str(value)


def _karpathy(content: Any, path: Path, reference: _Make) -> Iterator[Reference]:
    for number, image in enumerate(content["images"]):
        where = f"images[{number}]"
        name = member(image, "filename", str, path, where)
        if isinstance(image.get("filepath"), str):
            name = str(PurePosixPath(image["filepath"], name))
        sentences = member(image, "sentences", list, path, where)
        split = member(image, "split", str, path, where)
        # Results on COCO go by COCO's number, those on Flickr by the place in the file.
        key = next((str(image[key]) for key in ("cocoid", "imgid") if isinstance(image.get(key), int)), None)
        yield reference(name, (_sentence(sentence, path, where) for sentence in sentences), key, split)


def _sentence(sentence: Any, path: Path, where: str) -> str:
    if isinstance(sentence, dict) and isinstance(sentence.get("raw"), str):
        return str(sentence["raw"])
    return " ".join(map(str, member(sentence, "tokens", list, path, f"a sentence of {where}")))
