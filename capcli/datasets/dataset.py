"""What every reader returns, and what all of them need to get there."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from capcli.errors import DatasetError, system_reason
from capcli.files.names import escape

_T = TypeVar("_T")

SPLITS = ("train", "dev", "test", "rest")

IMAGE_FOLDERS = (
    *("", "images", "Images"),
    *("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images", "flickr30k-images"),
)
"""Where pictures lie relative to the file that describes them; Flickr8k's archive misspells its folder."""


@dataclass(frozen=True)
class Entry:
    """One picture as its source describes it, whether or not the file is there.

    Attributes:
        where: file and line, or file and place in its list.
        name: its file name in the source, with as much of the folders as the source gives; its id where it has none.
        image: the file, or where it would be.
        captions: as they are written, blank ones left out; possibly none.
        split: one of SPLITS; None where the source has no splits.
        id: its number in the source, where it has one.
        blank: how many blank captions were left out.
    """

    where: str
    name: str
    image: Path
    captions: tuple[str, ...]
    split: str | None = None
    id: str | None = None
    blank: int = 0

    @classmethod
    def of(
        cls, where: str, name: str, image: Path, texts: Collection[str], split: str | None = None, id: str | None = None
    ) -> Entry:
        """The entry of captions of which some may be blank; half a character, as JSON may hold it, becomes U+FFFD."""
        captions = tuple(
            text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts if text.strip()
        )
        return cls(where, name, image, captions, split, id, len(texts) - len(captions))


@dataclass(frozen=True)
class Item:
    """One picture and what people wrote about it.

    Attributes:
        image: an existing file, unless the reader lets pictures be missing; of a sentence that has no
            picture, the text that it is from.
        captions: at least one, in the order of the source, duplicates and white space kept, none blank.
        split: "train", "dev", "test", or "rest" for a picture that the source puts in none of them.
    """

    image: Path
    captions: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class Dataset:
    """Items in the order of their source.

    Attributes:
        name: for people.
        items: pictures with their captions, or sentences.
        pictures: whether there are any; without them every item is a sentence of a text.
    """

    name: str
    items: tuple[Item, ...]
    pictures: bool = True

    def __len__(self) -> int:
        return len(self.items)

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of split `name`, possibly none; raises ValueError for a name not in SPLITS."""
        if name not in SPLITS:
            raise ValueError(f"no such split: {name!r} (there are {', '.join(SPLITS)})")
        return tuple(item for item in self.items if item.split == name)


def merge(entries: Iterable[Entry], source: Path) -> tuple[Entry, ...]:
    """Every picture once, with the captions of all its entries, in the order of the first ones.

    Raises:
        DatasetError: no caption is there, or one picture is put in two splits.
    """
    merged: dict[tuple[Path, str | None], Entry] = {}
    for entry in entries:
        first = merged.setdefault((entry.image, entry.id), entry)
        if first is entry:
            continue
        if first.split != entry.split:
            raise DatasetError(f"{entry.where}: {entry.name} is in two splits, {first.split} and {entry.split}")
        captions, blank = first.captions + entry.captions, first.blank + entry.blank
        merged[entry.image, entry.id] = replace(first, captions=captions, blank=blank)
    if not any(entry.captions for entry in merged.values()):
        raise DatasetError(f"{source}: has no captions")
    return tuple(merged.values())


def require_pictures(images: Sequence[Path], source: Path) -> None:
    """Raises DatasetError that says how many of the images are missing on disk, if any is."""
    missing = [image for image in images if not is_there(image)]
    if missing:
        count = "1 image is" if len(missing) == 1 else f"{len(missing)} of {len(images)} images are"
        raise DatasetError(f"{source}: {count} missing on disk, first {missing[0]}")


def locate(name: str, folders: Sequence[Path]) -> Path:
    r"""The picture `name` in the first of `folders` that has it; if none has, its place in the very first.

    A name that no folder has is looked for as a path of Windows, with `/` for each backslash.
    """
    # A name may hold what was read as an escape, as that of photos\train.jpg in JSON does.
    spellings = dict.fromkeys((name, escape(name).replace("\\", "/")))
    places = (folder / spelling for spelling in spellings for folder in folders)
    return next(filter(is_there, places), folders[0] / name)


def number_of(name: str) -> str | None:
    """The digits of an image's number: "3" for 3, and for the 3.0 that data frames make of it; None for a file name."""
    number = re.fullmatch(r"(\d+)(\.0+)?", name)
    return number[1] if number else None


def at_home(path: str | Path) -> Path:
    """The path, `~` in its place; raises DatasetError for the home of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DatasetError(f"{path}: no such file or folder") from None


def is_there(image: Path) -> bool:
    """Whether it is an existing file."""
    try:
        return image.is_file()
    except OSError:  # such as a name longer than any system allows
        return False


def image_folders(root: Path) -> list[Path]:
    """The existing folders below `root` (itself first) in which pictures are looked for."""
    return [root / folder for folder in IMAGE_FOLDERS if (root / folder).is_dir()] or [root]


def only(files: Sequence[Path], folder: Path) -> Path:
    """The one file among `files`, of which there is at least one; raises DatasetError if there are several."""
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DatasetError(f"{folder}: holds {len(files)} caption files ({names}); name the one to read")
    return files[0]


def read_text(path: Path, *, with_names: bool = False) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, line ends untouched.

    Args:
        path: the file.
        with_names: whether names of files stand in it, whose bytes need not be UTF-8; they come as `os.fsdecode` has
            them, as lone surrogates, wherever they stand.

    Raises:
        DatasetError: it cannot be read, or is not in UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {system_reason(error)}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DatasetError(f"{path}: is in UTF-16; save it in UTF-8")
    try:
        return content.decode("utf-8-sig", sys.getfilesystemencodeerrors() if with_names else "strict")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: not UTF-8 text") from error


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, stripped, each with its number counted from 1."""
    # Not str.splitlines: it also breaks at characters such as U+2028, which captions from the web do contain.
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1))
    return [(number, line) for number, line in lines if line]


def parse_json(text: str, path: Path, first_line: int = 1, *, pairs: bool = False) -> Any:
    """The JSON value in `text`, which begins at line `first_line` of `path`.

    Args:
        text: the whole value.
        path: for errors.
        first_line: for errors.
        pairs: give objects as lists of pairs, which keep keys that are there twice.

    Raises:
        DatasetError: `text` is no JSON, or none that Python takes.
    """
    try:
        return json.loads(text, object_pairs_hook=list if pairs else None)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DatasetError(f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno})") from error
    except ValueError as error:
        raise DatasetError(f"{path}, line {first_line} or after: a number has too many digits to be read") from error
    except RecursionError as error:
        raise DatasetError(f"{path}: JSON nested too deep to be a caption file") from error


def member(record: object, key: str, kind: type[_T], path: Path, where: str) -> _T:
    """`record[key]`, which must be a `kind`; raises DatasetError saying `where` in `path` it is not."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise DatasetError(f"{path}: {where} has no {key!r} of type {kind.__name__}")
    return value


def is_held_out(image: Path, share: float) -> bool:
    """Whether a picture is among the `share`, 0 to 1, that training leaves out of a data set without a dev split.

    A hash of its file name decides, so that it stays the same from run to run and from folder to folder.
    """
    return _place(image.name) < share


def is_held_out_sentence(words: Sequence[str], share: float) -> bool:
    """The same of a sentence that is trained on for itself; a hash of its words decides, so that equal ones agree."""
    return _place(" ".join(words)) < share


def _place(name: str) -> float:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
