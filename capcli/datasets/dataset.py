"""What every reader returns, and what all of them need to get there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.errors import DatasetError

SPLITS = ("train", "dev", "test", "rest")

IMAGE_FOLDERS = ("", "images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")
"""Where pictures lie relative to the file that describes them; Flickr8k's archive misspells its folder."""


@dataclass(frozen=True)
class Item:
    """One picture and what people wrote about it.

    Attributes:
        image: an existing file, unless the reader was told that pictures may be missing.
        captions: at least one, in the order of the source, duplicates kept, each on one line.
        split: "train", "dev", "test", or "rest" for a picture that the source puts in none of them.
    """

    image: Path
    captions: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class Dataset:
    """Items in the order of their source."""

    name: str
    items: tuple[Item, ...]

    def __len__(self) -> int:
        return len(self.items)

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of split `name`, possibly none; raises ValueError for a name not in SPLITS."""
        if name not in SPLITS:
            raise ValueError(f"no such split: {name!r} (there are {', '.join(SPLITS)})")
        return tuple(item for item in self.items if item.split == name)


def gather(source: Path, captioned: Iterable[tuple[Path, str, str]], *, missing_ok: bool = False) -> Dataset:
    """Collects (image, caption, split) triples, one per caption, into a dataset named after its folder.

    Blank captions are ignored.

    Raises:
        DatasetError: no caption is left, a picture is missing on disk (unless `missing_ok`), or one picture is put in
            two splits.
    """
    captions: dict[Path, list[str]] = {}
    splits: dict[Path, str] = {}
    for image, caption, split in captioned:
        text = " ".join(caption.split())
        if not text:
            continue
        captions.setdefault(image, []).append(text)
        if splits.setdefault(image, split) != split:
            raise DatasetError(f"{source}: {image.name} is in two splits, {splits[image]} and {split}")
    if not captions:
        raise DatasetError(f"{source}: has no captions")
    missing = [] if missing_ok else [image for image in captions if not image.is_file()]
    if missing:
        count = "1 image is" if len(missing) == 1 else f"{len(missing)} of {len(captions)} images are"
        raise DatasetError(f"{source}: {count} missing on disk, first {missing[0]}")
    folder = source if source.is_dir() else source.parent
    items = (Item(image, tuple(texts), splits[image]) for image, texts in captions.items())
    return Dataset(folder.resolve().name, tuple(items))


def locate(name: str, folders: Sequence[Path]) -> Path:
    """The picture `name` in the first of `folders` that has it; if none has, its place in the very first."""
    places = [folder / name for folder in folders]
    return next((place for place in places if place.is_file()), places[0])


def image_folders(root: Path) -> list[Path]:
    """The existing folders below `root` (itself first) in which pictures are looked for."""
    return [root / folder for folder in IMAGE_FOLDERS if (root / folder).is_dir()] or [root]


def only(files: Sequence[Path], folder: Path) -> Path | None:
    """The one file among `files`, None if there is none; raises DatasetError if there are several."""
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DatasetError(f"{folder}: holds {len(files)} caption files ({names}); name the one to read")
    return files[0] if files else None


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, line ends untouched."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: not UTF-8 text") from error


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, stripped, each with its number counted from 1."""
    # Not str.splitlines: it also breaks at characters such as U+2028, which captions from the web do contain.
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1))
    return [(number, line) for number, line in lines if line]


def parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    """The JSON value in `text`, which begins at line `first_line` of `path`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DatasetError(f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno})") from error
    except RecursionError as error:
        raise DatasetError(f"{path}: JSON nested too deep to be a caption file") from error


def member(record: Any, key: str, kind: type, path: Path, where: str) -> Any:
    """`record[key]`, which must be a `kind`; raises DatasetError saying `where` in `path` it is not."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise DatasetError(f"{path}: {where} has no {key!r} of type {kind.__name__}")
    return value


def is_held_out(image: Path, share: float) -> bool:
    """Whether a picture is among the `share`, 0 to 1, that training leaves out of a data set without a dev split.

    A hash of its file name decides, so that it stays the same from run to run and from folder to folder.
    """
    digest = hashlib.sha256(image.name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
